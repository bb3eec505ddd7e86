/**
 * A server and clients with GSSAPI, as programs on any runtime: the library reads its
 * environment when the process starts.
 *
 * @module
 */

import process from "node:process";
import {
  bind,
  type ClientOptions,
  connect,
  SocksError,
  udpAssociate,
} from "../../src/client/mod.ts";
import {
  gssapi,
  gssapiLogin,
  type GssapiLoginOptions,
  type GssapiOptions,
  type GssContext,
  type GssProvider,
} from "../../src/gssapi/mod.ts";
import {
  decodeMessage,
  encodeMessage,
  MESSAGE,
  type Message,
  type MessageType,
} from "../../src/protocol/gssapi.ts";
import { MessageReader } from "../../src/transport/message_reader.ts";
import { systemAcceptor, systemInitiator } from "../../src/gssapi/system.ts";
import { serve } from "../../src/server/serve.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Conn } from "../../src/transport/transport.ts";

/** What the server prints when a session ends. */
export interface ServedSession {
  readonly user?: string;
  readonly method?: string;
  readonly command?: string;
  readonly reason: string;
  readonly error?: string;
  readonly sent: number;
  readonly received: number;
}

/** Prints its port, and a {@linkcode ServedSession} on each line after it. */
async function server(options: GssapiOptions): Promise<void> {
  const auth = [await gssapi(options)];
  const { addr, finished } = await serve({
    port: 0,
    auth,
    onEvent(event) {
      if (event.type !== "session-end") return;
      const { session, reason, error } = event;
      const { user, method, command, sent, received } = session;
      const facts = { user, method, command, sent, received };
      console.log(JSON.stringify({ ...facts, reason, error: error?.message }));
    },
  });
  console.log(addr.port);
  await finished;
}

/** What the client is to do. */
export interface ClientTask {
  /** The port of the proxy on localhost. */
  readonly port: number;
  readonly login?: GssapiLoginOptions;
  /** The port of a target on 127.0.0.1 that echoes, and how many bytes to send. */
  readonly echo?: { readonly port: number; readonly size: number };
  /** Whether to accept a connection by BIND. */
  readonly bind?: boolean;
  /** The port of a target on 127.0.0.1 that returns datagrams, and their sizes. */
  readonly datagrams?: {
    readonly port: number;
    readonly sizes: readonly number[];
  };
  readonly timeout?: number;
}

/** What the client prints. */
export interface ClientReport {
  /** How many bytes came back; -1 if some were wrong. */
  echoed?: number;
  /** What came through BIND in both directions. */
  bound?: string;
  /** The sizes of the datagrams that came back, and the greatest that could be sent. */
  datagrams?: number[];
  most?: number;
  /** Why it failed. */
  code?: string;
  cause?: string;
  message?: string;
  /** The longest time in which the event loop did not run, in milliseconds. */
  gap: number;
  /** How long everything took, in milliseconds. */
  took: number;
}

async function client(task: ClientTask): Promise<void> {
  const report: ClientReport = { gap: 0, took: 0 };
  const started = performance.now();
  let last = started;
  const timer = setInterval(() => {
    const now = performance.now();
    report.gap = Math.max(report.gap, now - last);
    last = now;
  }, 5);
  try {
    await fulfil(task, report);
  } catch (error) {
    report.message = `${error}`;
    if (error instanceof SocksError) {
      report.code = error.code;
      report.cause = (error.cause as { code?: string } | undefined)?.code;
    }
  }
  clearInterval(timer);
  report.took = performance.now() - started;
  console.log(JSON.stringify(report));
  // A thread may still wait for a KDC, and Node.js would wait for the thread.
  if (!("Deno" in globalThis)) process.kill(process.pid, "SIGKILL");
  process.exit(0);
}

async function fulfil(task: ClientTask, report: ClientReport): Promise<void> {
  const { port, login, timeout } = task;
  const url = `socks5h://localhost:${port}`;
  const options = { auth: [gssapiLogin(login)], timeout };
  if (task.echo) report.echoed = await echoed(url, task.echo, options);
  if (task.bind) report.bound = await bound(url, options);
  if (!task.datagrams) return;
  const { port: target, sizes } = task.datagrams;
  const association = await udpAssociate(url, options);
  report.most = association.maxPayload("127.0.0.1");
  report.datagrams = [];
  for (const size of [...sizes, report.most]) {
    const payload = new Uint8Array(size).fill(7);
    await association.send(payload, { hostname: "127.0.0.1", port: target });
    const { value } = await association.next();
    report.datagrams.push(value?.[0].length ?? -1);
  }
  association.close();
}

async function echoed(
  url: string,
  { port, size }: NonNullable<ClientTask["echo"]>,
  options: ClientOptions,
): Promise<number> {
  const conn = await connect(url, { hostname: "127.0.0.1", port }, options);
  const sent = Uint8Array.from({ length: size }, (_, i) => i * 7 >> 3);
  sent.set(new TextEncoder().encode(MARK).subarray(0, size));
  const writing = conn.write(sent).then(() => conn.closeWrite());
  let at = 0;
  let isRight = true;
  for (let chunk = await conn.read(); chunk; chunk = await conn.read()) {
    isRight &&= chunk.every((it, i) => it === sent[at + i]);
    at += chunk.length;
  }
  await writing;
  conn.close();
  return isRight ? at : -1;
}

/** The beginning of the data that clients send. */
export const MARK = "this is what nobody may read";

async function bound(url: string, options: ClientOptions): Promise<string> {
  const listener = await bind(url, "127.0.0.1:9", options);
  const transport = await detectTransport();
  const { port } = listener.addr;
  const peer = await transport.connect({ hostname: "127.0.0.1", port });
  const conn = await listener.accept();
  const encoder = new TextEncoder();
  await peer.write(encoder.encode("in"));
  const received = await conn.read();
  await conn.write(encoder.encode("out"));
  await conn.closeWrite();
  const sent = await readAll(peer);
  for (const it of [peer, conn]) it.close();
  await listener.close();
  return `${new TextDecoder().decode(received!)} ${sent}`;
}

async function readAll(conn: Conn): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for (let it = await conn.read(); it; it = await conn.read()) {
    text += decoder.decode(it);
  }
  return text;
}

/** What an attacker does, instead of a whole login or after it. */
export type Attack =
  | "replay"
  | "junk"
  | "empty"
  | "bare level"
  | "long level"
  | "clear"
  | "signed"
  | "tampered"
  | "twice"
  | "good"
  | { readonly level: number };

/** What the attacker prints. */
export interface AttackReport {
  /** The answer to the level; undefined if there is none. */
  level?: number;
  /** The octets of all data messages, without their protection. */
  data: string;
  /** Whether the server has sent an abort. */
  aborted: boolean;
}

/** Logs in by hand; the server is on localhost. */
async function attack(
  { port, attack }: { port: number; attack: Attack },
): Promise<void> {
  const report: AttackReport = { data: "", aborted: false };
  const initiators = await systemInitiator({});
  const context = initiators.initiate("rcmd@localhost");
  const { token } = await context.step(null);
  const login = attack === "junk"
    ? token.map((it, i) => i > 100 ? it ^ 1 : it)
    : attack === "empty"
    ? new Uint8Array(0)
    : token;
  if (attack === "replay") await logIn(port, token);
  const client = await logIn(port, login);
  if (client.answer) {
    await context.step(client.answer);
    await negotiate(client, context, attack, report);
  }
  for (;;) {
    const message = await client.next().catch(() => undefined);
    if (!message) break;
    if (message.type === MESSAGE.abort) report.aborted = true;
    else report.data += hex(context.unwrap(message.token).data);
  }
  client.conn.close();
  context.close();
  console.log(JSON.stringify(report));
  process.exit(0);
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((it) => it.toString(16).padStart(2, "0")).join("");
}

/** A client whose token has been sent. */
interface Attacker {
  readonly conn: Conn;
  /** The token of the server. */
  readonly answer: Uint8Array | undefined;
  next(): Promise<Message>;
  send(type: MessageType, token: Uint8Array): Promise<void>;
}

async function logIn(port: number, token: Uint8Array): Promise<Attacker> {
  const transport = await detectTransport();
  const conn = await transport.connect({ hostname: "127.0.0.1", port });
  const reader = new MessageReader(conn);
  await conn.write(Uint8Array.of(5, 1, 1));
  await reader.read((it) => it.length < 2 ? undefined : { value: 0, size: 2 });
  const send = (type: MessageType, token: Uint8Array) =>
    conn.write(encodeMessage({ type, token }));
  await send(MESSAGE.authentication, token);
  const next = () => reader.read(decodeMessage);
  const first = await next();
  if (first.type === MESSAGE.authentication) {
    return { conn, answer: first.token, next, send };
  }
  return { conn, answer: undefined, next: once(first, next), send };
}

/** Returns a message that has been read too early, and then the next ones. */
function once(
  first: Message,
  next: () => Promise<Message>,
): () => Promise<Message> {
  let early: Message | undefined = first;
  return () => {
    const message = early;
    early = undefined;
    return message ? Promise.resolve(message) : next();
  };
}

async function negotiate(
  { conn, next, send }: Attacker,
  context: GssContext,
  attack: Attack,
  report: AttackReport,
): Promise<void> {
  const wanted = typeof attack === "object" ? attack.level : 2;
  const plain = attack === "long level" ? [wanted, wanted] : [wanted];
  const wrapped = context.wrap(Uint8Array.from(plain), false);
  const isBare = attack === "bare level";
  await send(MESSAGE.protection, isBare ? Uint8Array.of(wanted) : wrapped);
  const answer = await next().catch(() => undefined);
  if (answer?.type !== MESSAGE.protection) return;
  report.level = context.unwrap(answer.token).data[0];
  const request = Uint8Array.of(5, 1, 0, 1, 127, 0, 0, 1, 0, 9);
  if (attack === "clear") return await conn.write(request);
  const sealed = context.wrap(request, attack !== "signed");
  if (attack === "tampered") sealed[sealed.length - 20] ^= 1;
  if (attack === "twice") await send(MESSAGE.data, sealed);
  await send(MESSAGE.data, sealed);
}

/** How the resident memory changed, in bytes. */
export interface ContextReport {
  /** The least growth by `count` contexts of both sides: a leak makes all of them grow. */
  readonly grown: number;
}

/** How often the memory is measured while `count` contexts are made, twice. */
const SAMPLES = 5;

/** Contexts that fail, or are given up. */
function refused(
  acceptors: Pick<GssProvider, "accept">,
  initiators: Pick<GssProvider, "initiate">,
): GssContext[] {
  const context = acceptors.accept();
  try {
    context.step(new Uint8Array(100));
  } catch {
    // As expected.
  }
  return [context, initiators.initiate("rcmd@localhost")];
}

async function contexts(
  { keytab, count }: { keytab: string; count: number },
): Promise<void> {
  const acceptors = await systemAcceptor({ keytab });
  const initiators = await systemInitiator({});
  const sizes: number[] = [];
  for (let i = 0; i <= 2 * count; i++) {
    if (i % (count / SAMPLES) === 0) sizes.push(process.memoryUsage().rss);
    const [a, b] = [initiators.initiate("rcmd@localhost"), acceptors.accept()];
    const first = await a.step(null);
    const answer = await b.step(first.token);
    await a.step(answer.token);
    b.unwrap(a.wrap(new Uint8Array(1_000), true));
    for (const it of [a, b, ...refused(acceptors, initiators)]) it.close();
  }
  const growths = sizes.slice(SAMPLES).map((it, i) => it - sizes[i]);
  const grown = Math.min(...growths);
  console.log(JSON.stringify({ grown } satisfies ContextReport));
  process.exit(0);
}

const roles: Record<string, (options: never) => Promise<void>> = {
  server,
  client,
  attack,
  contexts,
};

if (process.argv[2] === "run-gssapi") {
  const [role, options = "{}"] = process.argv.slice(3);
  await roles[role](JSON.parse(options) as never);
}
