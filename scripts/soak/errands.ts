/**
 * The tasks of the clients in the soak test: each errand opens a connection to
 * the server, performs one operation and checks its result.
 *
 * @module
 */

import { type DatagramSocket, listenDatagrams } from "../bench/datagrams.ts";
import {
  connectTo,
  encodeRequest,
  type Endpoint,
  openThrough,
  readFully,
  writeFully,
} from "../bench/socks.ts";
import { isPattern, patternAt } from "./pattern.ts";
import {
  INTACT,
  readPattern,
  type Targets,
  TRANSFER,
  writePattern,
} from "./targets.ts";

/** The environment of an errand. */
export interface Place {
  /** The port of the server. */
  readonly proxy: number;
  readonly targets: Targets;
}

/** A task of a client. */
export interface Errand {
  name: string;
  /** The interval between two runs, in milliseconds. */
  every: number;
  /** Rejects if the result is not as expected. */
  run(place: Place): Promise<void>;
}

const PING = 64;
const PINGS = 100;
const PING_PAUSE = 20;
const DATAGRAMS = 20;
/** The number of octets after which a transfer is aborted. */
const SOME = 2 ** 18;
/** The time after which a datagram counts as lost, in milliseconds. */
const LOST = 2_000;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Connects to a port of this machine through the server, and closes the connection. */
async function withTunnel(
  { proxy }: Place,
  port: number,
  use: (conn: Deno.TcpConn) => Promise<void>,
  hostname = "127.0.0.1",
): Promise<void> {
  const request = encodeRequest(1, { hostname, port });
  const { conn } = await openThrough(proxy, request);
  try {
    await use(conn);
  } finally {
    conn.close();
  }
}

/** Waits until the peer closes the connection, by FIN or reset. */
async function untilEnd(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(SOME);
  try {
    while (await conn.read(buffer) !== null);
  } catch {
    // A reset ends the connection as well.
  }
}

async function ping(conn: Deno.Conn, at: number): Promise<void> {
  const answer = new Uint8Array(PING);
  await writeFully(conn, patternAt(at, PING));
  await readFully(conn, answer, PING);
  if (!isPattern(answer, at)) throw new Error("the echo differs");
}

function echoPort({ targets }: Place): number {
  const { echo } = targets.ports;
  return echo[Math.floor(Math.random() * echo.length)];
}

async function visit(place: Place, hostname: string): Promise<void> {
  await withTunnel(place, echoPort(place), (conn) => ping(conn, 0), hostname);
}

async function pingPong(place: Place): Promise<void> {
  await withTunnel(place, echoPort(place), async (conn) => {
    for (let i = 0; i < PINGS; i++) {
      await ping(conn, i * PING);
      await sleep(PING_PAUSE);
    }
  });
}

async function download(place: Place): Promise<void> {
  await withTunnel(place, place.targets.sender, async (conn) => {
    const length = await readPattern(conn);
    if (length !== TRANSFER) throw new Error(`received ${length} octets`);
  });
}

/** The server must forward the FIN, and then the answer. */
async function upload(place: Place): Promise<void> {
  await withTunnel(place, place.targets.checker, async (conn) => {
    await writePattern(conn, TRANSFER);
    await conn.closeWrite();
    const answer = new Uint8Array(1);
    await readFully(conn, answer, 1);
    if (answer[0] !== INTACT) {
      throw new Error("the upload did not arrive intact");
    }
  });
}

/** Goes away with octets unread, which resets the connection. */
async function abortDownload(place: Place): Promise<void> {
  await withTunnel(place, place.targets.sender, async (conn) => {
    await readPattern(conn, SOME);
  });
}

async function abortUpload(place: Place): Promise<void> {
  await withTunnel(place, place.targets.checker, async (conn) => {
    await writePattern(conn, SOME);
  });
}

async function beReset(place: Place): Promise<void> {
  await withTunnel(place, place.targets.resetter, async (conn) => {
    await writePattern(conn, SOME).catch(() => {}); // it may be over before
    await untilEnd(conn);
  });
}

/** Says too little, and waits until the server gives up. */
function stall(beginning: Uint8Array): Errand["run"] {
  return async ({ proxy }) => {
    const conn = await connectTo(proxy);
    try {
      await writeFully(conn, beginning);
      await untilEnd(conn);
    } finally {
      conn.close();
    }
  };
}

async function refused({ proxy, targets }: Place): Promise<void> {
  const target = { hostname: "127.0.0.1", port: targets.refuser };
  try {
    (await openThrough(proxy, encodeRequest(1, target))).conn.close();
  } catch (error) {
    if ((error as Error).message === "reply 5") return;
    throw error;
  }
  throw new Error("a target that does not listen was reached");
}

async function leaveIdle(place: Place): Promise<void> {
  await withTunnel(place, echoPort(place), untilEnd);
}

async function leaveHalfClosed(place: Place): Promise<void> {
  await withTunnel(place, place.targets.deaf, async (conn) => {
    await conn.closeWrite();
    await untilEnd(conn);
  });
}

/** Calls `use` with the bound address of an association or a BIND. */
async function withReply(
  { proxy }: Place,
  command: 2 | 3,
  use: (bound: Endpoint, conn: Deno.TcpConn) => Promise<void>,
): Promise<void> {
  const any = { hostname: command === 2 ? "127.0.0.1" : "0.0.0.0", port: 0 };
  const request = encodeRequest(command, any);
  const { conn, bound } = await openThrough(proxy, request);
  try {
    await use(bound, conn);
  } finally {
    conn.close();
  }
}

async function datagrams(place: Place): Promise<void> {
  await withReply(place, 3, async (bound) => {
    const socket = listenDatagrams();
    try {
      const [port] = place.targets.ports.echoDatagrams;
      const target = encodeRequest(1, { hostname: "127.0.0.1", port });
      const header = target.with(0, 0).with(1, 0);
      const relay = { transport: "udp" as const, ...bound };
      for (let i = 0; i < DATAGRAMS; i++) {
        const payload = patternAt(i, 1 + 70 * i);
        const datagram = new Uint8Array([...header, ...payload]);
        const echo = await exchange(socket, datagram, relay);
        if (!isPattern(echo.subarray(header.length), i)) {
          throw new Error("the echo of a datagram differs");
        }
      }
    } finally {
      socket.close();
    }
  });
}

/** Sends a datagram, repeatedly if it is lost, until one of the same length returns. */
async function exchange(
  socket: DatagramSocket,
  datagram: Uint8Array,
  to: Deno.NetAddr,
): Promise<Uint8Array> {
  const send = () => socket.send(datagram, to).catch(() => {});
  const timer = setInterval(send, LOST);
  try {
    await send();
    for (;;) {
      const [answer] = await socket.receive(new Uint8Array(2_000));
      // A shorter one is the second answer to a datagram that was sent twice.
      if (answer.length >= datagram.length) return answer;
    }
  } finally {
    clearInterval(timer);
  }
}

/** Leaves an association idle until the server ends it. */
async function leaveAssociation(place: Place): Promise<void> {
  await withReply(place, 3, (_, conn) => untilEnd(conn));
}

async function acceptOne(place: Place): Promise<void> {
  await withReply(place, 2, async (bound, conn) => {
    const peer = await Deno.connect(bound);
    try {
      await readFully(conn, new Uint8Array(10), 10);
      await writeFully(peer, patternAt(0, PING));
      const answer = new Uint8Array(PING);
      await readFully(conn, answer, PING);
      if (!isPattern(answer, 0)) {
        throw new Error("the data from the peer differs");
      }
    } finally {
      peer.close();
    }
  });
}

async function giveUpBind(place: Place): Promise<void> {
  await withReply(place, 2, async () => {});
}

const utf8 = new TextEncoder();

/** All errands with their intervals. */
export const errands: readonly Errand[] = [
  { name: "visits", every: 25, run: (place) => visit(place, "127.0.0.1") },
  { name: "by name", every: 50, run: (place) => visit(place, "localhost") },
  { name: "ping-pong", every: 300, run: pingPong },
  { name: "downloads", every: 400, run: download },
  { name: "uploads", every: 400, run: upload },
  { name: "associations", every: 250, run: datagrams },
  { name: "binds", every: 500, run: acceptOne },
  { name: "aborted downloads", every: 250, run: abortDownload },
  { name: "aborted uploads", every: 250, run: abortUpload },
  { name: "resets", every: 250, run: beReset },
  { name: "refused", every: 250, run: refused },
  { name: "abandoned binds", every: 500, run: giveUpBind },
  { name: "idle associations", every: 500, run: leaveAssociation },
  { name: "idle tunnels", every: 500, run: leaveIdle },
  { name: "half-closed", every: 500, run: leaveHalfClosed },
  { name: "silent", every: 500, run: stall(new Uint8Array()) },
  { name: "stalled", every: 500, run: stall(Uint8Array.of(5, 1, 0, 5, 1, 0)) },
  {
    name: "no SOCKS",
    every: 500,
    run: stall(utf8.encode("GET / HTTP/1.1\r\n\r\n")),
  },
];
