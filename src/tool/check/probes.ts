/**
 * Single questions to a proxy.
 *
 * @module
 */

import { bind } from "../../client/bind.ts";
import { connect } from "../../client/connect.ts";
import { SocksError } from "../../client/error.ts";
import type { ClientOptions } from "../../client/options.ts";
import type { ProxyConfig } from "../../client/proxy.ts";
import { resolve, reverse } from "../../client/resolve.ts";
import type { SocksConn } from "../../client/socks_conn.ts";
import { toSocksError } from "../../client/to_socks_error.ts";
import { type Endpoint, formatEndpoint, isIp } from "../../protocol/address.ts";
import {
  decodeMethodChoice,
  encodeGreeting,
  METHOD,
} from "../../protocol/socks5.ts";
import { NetError } from "../../transport/errors.ts";
import { MessageReader } from "../../transport/message_reader.ts";
import type { Conn } from "../../transport/transport.ts";
import type { CheckResult } from "./report.ts";
import { limited, type Scope } from "./scope.ts";
import { type OwnTargets, readToken } from "./targets.ts";
import type { Login, Plain, Way } from "./way.ts";

/** The outcome of a question, without its name. */
export type Answer = Omit<CheckResult, "name">;

/** How to ask. */
export interface Question {
  readonly way: Way;
  /** Milliseconds for each question. */
  readonly timeout: number;
  readonly protocol: Plain;
  readonly login: Login;
}

/** The arguments of a command of the client, over a connection of the {@linkcode Way}. */
export async function prepare(
  { way, protocol, login }: Question,
  scope: Scope,
): Promise<[ProxyConfig, ClientOptions]> {
  const conn = await way.open(scope);
  const options = {
    conn,
    auth: way.authFor(protocol, login),
    signal: scope.signal,
    timeout: 0, // that of the scope
    transport: way.transport,
  };
  return [way.config(protocol, login), options];
}

/** A question under way. */
export class Asking {
  /** The resources that are opened for it. */
  readonly scope: Scope;
  readonly #start: number;
  /** How long the proxy's reply took. */
  time: number | undefined;
  /** The detail if the time is over. */
  lateDetail: string | undefined;

  constructor(scope: Scope, start: number) {
    this.scope = scope;
    this.#start = start;
  }

  /** The proxy has replied. What follows is not measured. */
  replied(lateDetail?: string): void {
    this.time ??= performance.now() - this.#start;
    this.lateDetail = lateDetail;
  }
}

/** An answer with the error that it stands for. */
export type Known = Answer & { readonly error?: unknown };

/** Measures a step, whose answer is `yes` unless it says or throws otherwise. */
export async function ask(
  timeout: number,
  step: (asking: Asking) => Promise<Partial<Answer> | void>,
): Promise<Known> {
  const start = performance.now();
  let asking: Asking | undefined;
  try {
    const answer = await limited(
      timeout,
      (scope) => step(asking = new Asking(scope, start)),
    );
    asking!.replied();
    return { outcome: "yes", time: asking!.time, ...answer };
  } catch (error) {
    const isExpected = error instanceof SocksError || error instanceof NetError;
    if (!isExpected) throw error;
    const time = asking?.time ?? performance.now() - start;
    const answer = describe(error);
    const isLate = answer.code === "timeout" && asking?.lateDetail;
    const detail = isLate ? asking!.lateDetail : answer.detail;
    return { outcome: "no", time, ...answer, detail, error };
  }
}

/** The problem, in a few words. */
function describe(
  error: SocksError | NetError,
): Pick<Answer, "detail" | "code" | "reply"> {
  if (error instanceof NetError) {
    const detail = shortened(error);
    return error.kind === "timeout" ? { detail, code: "timeout" } : { detail };
  }
  const { code, reply, cause, message } = error;
  if (cause instanceof NetError && cause.kind === "timeout") {
    return { detail: cause.message, code: "timeout" };
  }
  const detail = SHORT[code] ??
    (cause instanceof Error
      ? shortened(cause)
      : message.replace(/^the proxy rejected the request: /, ""));
  return { detail, code, reply };
}

const SHORT: Readonly<Record<string, string>> = {
  "proxy-closed": "closes the connection",
  "no-method": "accepts no such login",
  "protocol": "answers in another protocol",
};

/** The same words on every runtime, where the runtime's own are not better. */
function shortened(error: Error): string {
  return (error instanceof NetError ? KINDS[error.kind] : undefined) ??
    error.message;
}

const KINDS: Readonly<Record<string, string>> = {
  refused: "connection refused",
  "net-unreachable": "network unreachable",
  "host-unreachable": "host unreachable",
  reset: "resets the connection",
};

/** The numbers and names of the methods that are asked for. */
const METHODS: readonly (readonly [number: number, name: string])[] = [
  [METHOD.none, "no login"],
  [METHOD.password, "user/password"],
  [METHOD.gssapi, "Kerberos"],
  [METHOD.chap, "CHAP"],
];

/** The methods that a proxy accepts. */
export interface Offers {
  readonly answer: Known;
  readonly methods: readonly number[];
}

/** Asks for each authentication method alone, each on a connection of its own. */
export async function askMethods(way: Way, timeout: number): Promise<Offers> {
  const asked = await Promise.all(
    METHODS.map(([number]) =>
      ask(timeout, async ({ scope }) => {
        const conn = await way.open(scope);
        return { detail: String(await choice(way, conn, [number])) };
      })
    ),
  );
  const first = asked.find(({ outcome }) => outcome === "yes") ?? asked[0];
  const methods = METHODS.map(([number]) => number)
    .filter((it, i) =>
      asked[i].outcome === "yes" && asked[i].detail === `${it}`
    );
  if (first.outcome === "no") return { answer: first, methods };
  const names = METHODS.filter(([it]) => methods.includes(it))
    .map(([, name]) => name);
  const detail = names.length > 0
    ? names.join(", ")
    : "accepts no known method";
  return { answer: { outcome: "yes", time: first.time, detail }, methods };
}

/** Offers methods, and returns the proxy's choice. */
async function choice(
  way: Way,
  conn: Conn,
  methods: number[],
): Promise<number> {
  try {
    await conn.write(encodeGreeting(methods));
    return await new MessageReader(conn).read(decodeMethodChoice);
  } catch (error) {
    throw toSocksError(error, "method", way.proxy);
  }
}

/** Asks for a connection to a target. With own targets, bytes have to arrive as well. */
export async function askConnect(
  question: Question,
  target: Endpoint,
  own?: OwnTargets,
): Promise<Known & { readonly halfClose?: Answer }> {
  let halfClose: Answer | undefined;
  const answer = await ask(question.timeout, async (asking) => {
    const { scope } = asking;
    const [proxy, options] = await prepare(question, scope);
    const conn = scope.keep(await connect(proxy, target, options));
    asking.replied(UNREACHED);
    if (!own) return;
    const visit = own.expect();
    await arrived(conn, visit.token);
    const detail = visit.from && `from ${visit.from.hostname}`;
    halfClose = await askHalfClose(conn, question.timeout / 2);
    return { detail };
  });
  return { ...answer, halfClose };
}

/** Sends a token, and waits until it comes back. */
async function arrived(conn: Conn, token: Uint8Array): Promise<void> {
  try {
    await conn.write(token);
    const back = await readToken(conn);
    if (back.every((it, i) => it === token[i])) return;
  } catch {
    // The same as other bytes.
  }
  throw new NetError("other", UNREACHED);
}

const UNREACHED = "granted, but the target was not reached";

/** Sends FIN, and waits for what the target sends after that. */
async function askHalfClose(conn: SocksConn, timeout: number): Promise<Answer> {
  return await ask(timeout, async () => {
    await conn.closeWrite();
    try {
      await readToken(conn);
    } catch {
      throw new NetError("ended", "ends both directions at once");
    }
  });
}

/** Asks for a port, and connects to it from this machine. */
export function askBind(question: Question, self: string): Promise<Answer> {
  const { way, timeout } = question;
  return ask(timeout, async (asking) => {
    const { scope } = asking;
    const [proxy, options] = await prepare(question, scope);
    const peerAddr = { hostname: self, port: 0 };
    const listener = scope.keep(await bind(proxy, peerAddr, options));
    const where = formatEndpoint(listener.addr);
    asking.replied(`granted at ${where}, but no peer arrives`);
    const peer = scope.keep(await reach(way, listener.addr, scope));
    const bounds = { timeout: 0, signal: scope.signal };
    const conn = scope.keep(await listener.accept(bounds));
    const token = crypto.getRandomValues(new Uint8Array(16));
    await peer.write(token);
    const got = await readToken(conn).catch(() => new Uint8Array());
    if (got.join() === token.join()) return { detail: `at ${where}` };
    throw new NetError("other", `at ${where}, but the peer's bytes are lost`);
  });
}

async function reach(
  { transport }: Way,
  addr: Endpoint,
  { signal }: Scope,
): Promise<Conn> {
  const where = formatEndpoint(addr);
  if (isIp(addr.hostname) === 0) {
    throw new NetError("other", `granted at ${where}, which is no address`);
  }
  try {
    return await transport.connect({ ...addr, signal });
  } catch (error) {
    const reason = (error as Error).message;
    const text = `granted at ${where}, which is not reachable: ${reason}`;
    throw new NetError("other", text, error);
  }
}

/** Asks for the address of a name. */
export function askResolve(question: Question, name: string): Promise<Answer> {
  return ask(question.timeout, async ({ scope }) => {
    const [proxy, options] = await prepare(question, scope);
    return { detail: `${name} is ${await resolve(proxy, name, options)}` };
  });
}

/** Asks for the name of an address. */
export function askReverse(
  question: Question,
  address: string,
): Promise<Answer> {
  return ask(question.timeout, async ({ scope }) => {
    const [proxy, options] = await prepare(question, scope);
    const name = await reverse(proxy, address, options);
    return { detail: `${address} is ${name}` };
  });
}
