/**
 * Our server and client with GSSAPI, as programs on any runtime. Test files have to import
 * `gssapi_program.ts` before anything else.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import * as net from "node:net";
import type { GssapiOptions } from "../../src/gssapi/mod.ts";
import type {
  ClientReport,
  ClientTask,
  ServedSession,
} from "./gssapi_program.ts";
import { type Runtime, runtime } from "../support/harness.ts";
import { type Program, run, start, until } from "./programs.ts";
import type { Realm } from "./realm.ts";
import { type Version, withProgramOn } from "./runtimes.ts";

const PERMISSIONS = ["--allow-net", "--allow-ffi"];

/** Calls `use` with a command that has this role in `gssapi_program.ts`. */
export function withRole<T>(
  role: string,
  options: unknown,
  use: (command: string, args: string[]) => Promise<T>,
  name: Runtime | Version = runtime,
): Promise<T> {
  return withProgramOn(
    name,
    "gssapi",
    ([command, ...args]) =>
      use(command, [...args, role, JSON.stringify(options)]),
    PERMISSIONS,
  );
}

/** A running server. */
export interface GssapiServer {
  readonly port: number;
  /** The sessions that have ended, at least this many. */
  sessions(count: number): Promise<ServedSession[]>;
}

/** Runs `use` with a server of the realm on a runtime. */
export function withGssapiServer(
  { env, keytab }: Pick<Realm, "env" | "keytab">,
  options: GssapiOptions,
  use: (server: GssapiServer) => Promise<void>,
  name?: Version,
): Promise<void> {
  const all = { keytab, ...options };
  return withRole("server", all, async (command, args) => {
    const isReady = ({ stdout }: Program) => stdout.endsWith("\n");
    const program = await start(command, args, isReady, { env });
    try {
      const lines = () => program.stdout.trimEnd().split("\n");
      await use({
        port: Number(lines()[0]),
        async sessions(count) {
          await until(`${count} sessions`, () => lines().length > count);
          return lines().slice(1).map((it) => JSON.parse(it));
        },
      });
    } finally {
      await program.stop();
    }
  }, name);
}

/** Runs a client of the realm on a runtime. */
export function runGssapiClient(
  { env }: Pick<Realm, "env">,
  task: ClientTask,
  name?: Version,
): Promise<ClientReport> {
  return withRole("client", task, async (command, args) => {
    const { stdout, stderr } = await run(command, args, { env });
    const line = stdout.trimEnd().split("\n").at(-1)!;
    if (!line.startsWith("{")) throw new Error(`client: ${stdout}${stderr}`);
    return JSON.parse(line);
  }, name);
}

/** Runs `use` with a port that leads to another one, and everything that passes. */
export async function withTap<T>(
  port: number,
  use: (port: number, passed: Uint8Array[]) => Promise<T>,
): Promise<T> {
  const passed: Uint8Array[] = [];
  const sockets = new Set<net.Socket>();
  const tap = net.createServer({ allowHalfOpen: true }, (near) => {
    const far = net.connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    for (const [from, to] of [[near, far], [far, near]]) {
      sockets.add(from);
      from.on("error", () => to.destroy());
      from.on("data", (chunk: Uint8Array) => passed.push(chunk));
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => tap.listen(0, "127.0.0.1", resolve));
  try {
    return await use((tap.address() as net.AddressInfo).port, passed);
  } finally {
    for (const it of sockets) it.destroy();
    await new Promise((resolve) => tap.close(resolve));
  }
}

/** Passes if the client did everything. */
export function assertFulfilled(report: ClientReport, task: ClientTask): void {
  const { echoed, bound, datagrams, most, message } = report;
  assertEquals(message, undefined);
  assertEquals(echoed, task.echo?.size);
  if (task.bind) assertEquals(bound, "in out");
  if (task.datagrams) assertEquals(datagrams, [...task.datagrams.sizes, most]);
}
