/**
 * A client's half of the protocol, up to the proxy's reply.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import { decodeLoginStatus, encodeLogin } from "../protocol/password.ts";
import { REPLY, REPLY4 } from "../protocol/reply.ts";
import * as socks4 from "../protocol/socks4.ts";
import * as socks5 from "../protocol/socks5.ts";
import type { MessageReader } from "../transport/message_reader.ts";
import type { Conn } from "../transport/transport.ts";
import { rejected, SocksError, type SocksPhase } from "./error.ts";
import type { Proxy } from "./proxy.ts";

/** A handshake with one proxy over one connection; `phase` tells how far it is. */
export class Handshake {
  phase: SocksPhase = "method";
  readonly #proxy: Proxy;
  readonly #conn: Conn;
  readonly #reader: MessageReader;

  constructor(proxy: Proxy, conn: Conn, reader: MessageReader) {
    this.#proxy = proxy;
    this.#conn = conn;
    this.#reader = reader;
  }

  /** Asks for a command; the bound address of the reply. */
  async request(command: number, target: Endpoint): Promise<Endpoint> {
    const { protocol } = this.#proxy;
    return protocol === "socks4" || protocol === "socks4a"
      ? await this.#requestSocks4(command, target)
      : await this.#requestSocks5(command, target);
  }

  async #requestSocks4(command: number, target: Endpoint): Promise<Endpoint> {
    this.phase = "request";
    const userId = this.#proxy.username;
    const request = socks4.encodeRequest({ command, ...target, userId });
    await this.#conn.write(request);
    const { reply, ...bound } = await this.#reader.read(socks4.decodeReply);
    if (reply !== REPLY4.granted) throw rejected(4, reply);
    return bound;
  }

  async #requestSocks5(command: number, target: Endpoint): Promise<Endpoint> {
    await this.#chooseMethod();
    this.phase = "request";
    await this.#conn.write(socks5.encodeRequest({ command, ...target }));
    const { reply, ...bound } = await this.#reader.read(socks5.decodeReply);
    if (reply !== REPLY.succeeded) throw rejected(5, reply);
    return bound;
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
