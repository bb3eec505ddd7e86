/** The server when descriptors run out. */

import "./descriptors_program.ts";
import { assert, assertEquals } from "@std/assert";
import type * as net from "node:net";
import { test } from "../support/harness.ts";
import {
  missing,
  type Program,
  programCommand,
  start,
  until,
} from "./programs.ts";
import { connectRequest, dial, readSome, tunnel } from "./raw_client.ts";
import { echo, startTarget } from "./targets.ts";

const LIMIT = 80;
const FLOOD = 200;

const skip = missing("sh");

/** Runs `use` with the port of a server that may open {@linkcode LIMIT} descriptors. */
async function withLimitedServer(
  use: (port: number, server: Program) => Promise<void>,
): Promise<void> {
  const script = `ulimit -n ${LIMIT} && exec "$0" "$@"`;
  const server = await start(
    "sh",
    ["-c", script, ...programCommand("descriptors")],
    ({ stdout }) => stdout.endsWith("\n"),
  );
  try {
    await use(Number(server.stdout), server);
  } finally {
    await server.stop();
  }
}

/** Whether the server serves a new client. */
async function serves(port: number, target: number): Promise<boolean> {
  let socket: net.Socket;
  try {
    socket = await tunnel(port, target);
  } catch {
    return false;
  }
  socket.write("hello");
  const answer = await readSome(socket, 5);
  socket.destroy();
  return answer.toString() === "hello";
}

/** A row: name, and the message that each client sends. */
const floods: readonly (readonly [string, (target: number) => Uint8Array])[] = [
  ["clients that use a target", connectRequest],
  ["clients that send nothing", () => new Uint8Array()],
];

for (const [name, request] of floods) {
  test(
    `serve() survives ${FLOOD} ${name} when it has ${LIMIT} descriptors`,
    () =>
      withLimitedServer(async (port, server) => {
        const target = await startTarget(echo);
        try {
          assert(await serves(port, target.port), "before the flood");
          const clients = await Promise.all(
            Array.from({ length: FLOOD }, async () => {
              const socket = await dial(port);
              socket.write(request(target.port));
              return socket;
            }),
          );
          const answers = clients.map((it) => readSome(it, 1));
          await Promise.race(answers); // one is served, or its connection ends
          for (const socket of clients) socket.destroy();
          await Promise.all(answers);
          await until(
            "it serves after the flood",
            () => serves(port, target.port),
          );
          for (let i = 0; i < 50; i++) {
            assert(await serves(port, target.port), `${i} after the flood`);
          }
          assertEquals(server.stderr, "");
        } finally {
          await target.close();
        }
      }),
    { skip },
  );
}
