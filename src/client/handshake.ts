/**
 * A client's half of the protocol, up to the proxy's replies.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import type { Decoded } from "../protocol/decode.ts";
import { decodeLoginStatus, encodeLogin } from "../protocol/password.ts";
import { REPLY, REPLY4 } from "../protocol/reply.ts";
import * as socks4 from "../protocol/socks4.ts";
import * as socks5 from "../protocol/socks5.ts";
import type { MessageReader } from "../transport/message_reader.ts";
import type { Conn } from "../transport/transport.ts";
import { rejected, SocksError, type SocksPhase } from "./error.ts";
import { isSocks4, type ProxyConfig } from "./proxy.ts";

const NOWHERE: Endpoint = { hostname: "0.0.0.0", port: 0 };

/** A handshake with one proxy over one connection; `phase` tells how far it is. */
export class Handshake {
  phase: SocksPhase = "method";
  readonly #proxy: ProxyConfig;
  readonly #conn: Conn;
  readonly #reader: MessageReader;
  readonly #isSocks4: boolean;

  constructor(proxy: ProxyConfig, conn: Conn, reader: MessageReader) {
    this.#proxy = proxy;
    this.#isSocks4 = isSocks4(proxy);
    this.#conn = conn;
    this.#reader = reader;
  }

  /** Asks for a command; the bound address of the reply. */
  async request(command: number, target: Endpoint): Promise<Endpoint> {
    if (!this.#isSocks4) await this.#chooseMethod();
    this.phase = "request";
    const request = { command, ...target };
    const userId = this.#proxy.username;
    await this.#conn.write(
      this.#isSocks4
        ? socks4.encodeRequest({ ...request, userId })
        : socks5.encodeRequest(request),
    );
    return await this.reply("request");
  }

  /** Waits for a reply, of which BIND has two; its bound address. */
  async reply(phase: "request" | "bind"): Promise<Endpoint> {
    this.phase = phase;
    const decode = this.#isSocks4 ? socks4.decodeReply : decodeReply5;
    const success = this.#isSocks4 ? REPLY4.granted : REPLY.succeeded;
    const { reply, ...bound } = await this.#reader.read(decode);
    if (reply === success) return bound;
    throw rejected(this.#isSocks4 ? 4 : 5, reply, phase);
  }

  async #chooseMethod(): Promise<void> {
    const { none, password, unacceptable } = socks5.METHOD;
    const offered = this.#proxy.username ? [none, password] : [none];
    await this.#conn.write(socks5.encodeGreeting(offered));
    const method = await this.#reader.read(socks5.decodeMethodChoice);
    if (method === unacceptable) {
      const hint = this.#proxy.username ? "" : "; it may want a login";
      throw this.#error(
        "no-method",
        `the proxy accepts no method of ours${hint}`,
      );
    }
    if (!offered.some((it) => it === method)) {
      throw this.#error("protocol", `the proxy chose method ${method} unasked`);
    }
    if (method === password) await this.#login();
  }

  async #login(): Promise<void> {
    this.phase = "auth";
    const { username = "", password = "" } = this.#proxy;
    await this.#conn.write(encodeLogin({ username, password }));
    const status = await this.#reader.read(decodeLoginStatus);
    if (status === 0) return;
    throw this.#error("login-failed", "the proxy refused the login");
  }

  #error(code: "no-method" | "protocol" | "login-failed", message: string) {
    return new SocksError(code, message, { phase: this.phase });
  }
}

/**
 * A reply as the codec reads it, but a refusal takes all that has come: some
 * servers end theirs behind REP, others have no proper address in it, and
 * nothing of use can follow.
 */
function decodeReply5(octets: Uint8Array): Decoded<socks5.Reply> | undefined {
  const [version, reply] = octets;
  return version === 5 && reply > 0
    ? { value: { reply, ...NOWHERE }, size: octets.length }
    : socks5.decodeReply(octets);
}
