/** The resources of many UDP associations. */

import "./server_program.ts";
import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import type * as dgram from "node:dgram";
import { once } from "node:events";
import { test } from "../support/harness.ts";
import { pattern } from "../transport/contract.ts";
import {
  missing,
  type Program,
  programCommand,
  run,
  start,
  until,
} from "./programs.ts";
import { dial, readSome } from "./raw_client.ts";
import {
  bindDatagrams,
  closeDatagrams,
  type DatagramTarget,
  MIB,
  startDatagramTarget,
} from "./targets.ts";

/** The number of simultaneous clients. */
const CLIENTS = 20;
/** How much the server's memory may grow: more than was seen with any garbage collector. */
const MAX_GROWTH = 96 * MIB;

/** A greeting without a login and a UDP ASSOCIATE request, in one message. */
const REQUEST = Uint8Array.of(5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0);
/** The size of the answers to it, in bytes. */
const ANSWER_SIZE = 2 + 10;

/** Opens an association, sends a datagram, receives the answer, and drops the connection. */
async function use(
  socket: dgram.Socket,
  server: number,
  target: number,
  drop: "destroy" | "resetAndDestroy",
): Promise<void> {
  const control = await dial(server);
  try {
    control.write(REQUEST);
    const answers = await readSome(control, ANSWER_SIZE);
    assertEquals([...answers.subarray(0, 6)], [5, 0, 5, 0, 0, 1]);
    const header = [0, 0, 0, 1, 127, 0, 0, 1, target >> 8, target & 255];
    const datagram = Buffer.concat([Uint8Array.from(header), pattern(1_000)]);
    socket.send(datagram, answers.readUInt16BE(10), "127.0.0.1");
    const [answer] = await once(socket, "message") as [Uint8Array];
    assertEquals(Buffer.compare(answer, datagram), 0);
  } finally {
    control[drop]();
  }
}

/** Uses `count` associations, by {@linkcode CLIENTS} clients at the same time. */
async function useMany(
  count: number,
  server: number,
  { port }: DatagramTarget,
): Promise<void> {
  let left = count;
  const client = async () => {
    const socket = await bindDatagrams("udp4", "127.0.0.1");
    while (left-- > 0) {
      const drop = left % 2 ? "destroy" : "resetAndDestroy";
      await use(socket, server, port, drop);
    }
    await closeDatagrams(socket);
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
}

async function descriptors({ pid }: Program): Promise<number> {
  const { stdout } = await run("ls", [`/proc/${pid}/fd`]);
  return stdout.split("\n").length;
}

async function memory({ pid }: Program): Promise<number> {
  const { stdout } = await run("ps", ["-o", "rss=", "-p", `${pid}`]);
  return Number(stdout) * 1024;
}

test(
  "serve() keeps no memory and no sockets of 1,000 associations that were dropped",
  async () => {
    const target = await startDatagramTarget();
    const [command, ...args] = programCommand("server");
    const isReady = ({ stdout }: Program) => stdout.endsWith("\n");
    const server = await start(command, args, isReady);
    try {
      const port = Number(server.stdout);
      const idle = await descriptors(server);
      await useMany(200, port, target); // warms up: allocates the memory that is reused
      const before = await memory(server);
      await useMany(1_000, port, target);
      await until(
        "the server closes its sockets",
        async () => await descriptors(server) < idle + CLIENTS,
      );
      const growth = await memory(server) - before;
      assert(growth < MAX_GROWTH, `the server has ${growth / MIB} MiB more`);
      assertEquals(server.stderr, "");
    } finally {
      await server.stop();
      await target.close();
    }
  },
  { skip: missing("ls", "ps") },
);
