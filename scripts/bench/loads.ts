/**
 * The kinds of load. Each runs until it is stopped and counts its operations.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import { BatchSocket, hasBatches } from "./batches.ts";
import type { Backend } from "./backend.ts";
import { listenDatagrams } from "./datagrams.ts";
import type { LoadMode } from "./modes.ts";
import {
  connectTo,
  encodeRequest,
  type Endpoint,
  handshake,
  readFully,
} from "./socks.ts";

const STREAMS = 8;
const BULK = 2 ** 20;
const PINGERS = 32;
const PING = 64;
const CONNECTORS = 32;
const FLOWS = 8;
const WINDOW = 16;
const DATAGRAM = 512;
/** When a datagram counts as lost, and the pause after a failed connection, in milliseconds. */
const PATIENCE = 200;

/** The time limit for opening all idle connections, in milliseconds. */
const HOLD_PATIENCE = 30_000;

/** The interval between two turns of the event loop, in milliseconds. */
const TURN = 10;

/** The number of concurrent attempts while idle connections are opened. */
const OPENERS = 64;

function connectRequest(
  port: number,
  hostname = "127.0.0.1",
): Uint8Array<ArrayBuffer> {
  return encodeRequest(1, { hostname, port });
}

/** Load on one server until it is stopped. */
export class Load {
  readonly port: number;
  readonly backend: Backend;
  /** The number of octets, round trips, connections or datagrams so far. */
  count = 0;
  /** The number of failures so far. */
  failed = 0;
  stopped = false;
  readonly #conns = new Set<{ close(): void }>();
  readonly #tasks: Promise<void>[] = [];

  constructor(port: number, backend: Backend) {
    this.port = port;
    this.backend = backend;
  }

  /** Starts `times` concurrent tasks that run until the load is stopped. */
  start(times: number, task: (index: number) => Promise<void>): this {
    for (let i = 0; i < times; i++) {
      this.#tasks.push(
        task(i).catch(() => {
          if (!this.stopped) this.failed++;
        }),
      );
    }
    return this;
  }

  /** Registers a connection to close when the load stops. */
  own<T extends { close(): void }>(conn: T): T {
    if (this.stopped) conn.close();
    else this.#conns.add(conn);
    return conn;
  }

  /** Closes a registered connection. */
  release(conn: { close(): void }): void {
    if (this.#conns.delete(conn)) conn.close();
  }

  /** Connects to the server and sends a request. */
  async open(
    request: Uint8Array,
  ): Promise<{ conn: Deno.TcpConn; bound: Endpoint }> {
    const conn = this.own(await connectTo(this.port));
    try {
      return { conn, bound: await handshake(conn, request) };
    } catch (error) {
      this.release(conn);
      throw error;
    }
  }

  /** Connects to a port of this machine through the server. */
  async connect(port: number): Promise<Deno.TcpConn> {
    return (await this.open(connectRequest(port))).conn;
  }

  /** Closes all connections, and waits until all tasks have ended. */
  async stop(): Promise<void> {
    this.stopped = true;
    for (const conn of this.#conns) conn.close();
    this.#conns.clear();
    await this.finished();
  }

  /** Waits for tasks that end by themselves. */
  async finished(): Promise<void> {
    await Promise.all(this.#tasks);
  }
}

function down(load: Load): Load {
  return load.start(STREAMS, async () => {
    const conn = await load.connect(load.backend.ports.source);
    const buffer = new Uint8Array(BULK);
    for (;;) {
      const count = await conn.read(buffer);
      if (count === null) throw new Error("the server closed the connection");
      load.count += count;
    }
  });
}

function up(load: Load): Load {
  const before = load.backend.swallowed;
  // Only received octets count.
  Object.defineProperty(load, "count", {
    get: () => load.backend.swallowed - before,
  });
  return load.start(STREAMS, async () => {
    const conn = await load.connect(load.backend.ports.sink);
    const chunk = new Uint8Array(BULK);
    for (;;) await conn.write(chunk);
  });
}

function pingPong(load: Load): Load {
  return load.start(PINGERS, async (index) => {
    const { echo } = load.backend.ports;
    const conn = await load.connect(echo[index % echo.length]);
    const ping = new Uint8Array(PING).fill(index);
    const pong = new Uint8Array(PING);
    for (;;) {
      await conn.write(ping);
      await readFully(conn, pong, PING);
      load.count++;
    }
  });
}

function connections(load: Load, hostname: string): Load {
  const { echo } = load.backend.ports;
  const requests = echo.map((port) => connectRequest(port, hostname));
  return load.start(CONNECTORS, async (index) => {
    const octet = new Uint8Array(1);
    for (let i = index; !load.stopped; i++) {
      try {
        const request = requests[i % requests.length];
        const { conn } = await load.open(request);
        await conn.write(octet);
        await readFully(conn, octet, 1);
        load.release(conn);
        load.count++;
      } catch {
        if (!load.stopped) load.failed++;
        await new Promise((resolve) => setTimeout(resolve, PATIENCE));
      }
    }
  });
}

/** Requests an association and returns the address of the relay. */
async function associate(load: Load): Promise<Endpoint> {
  const any = encodeRequest(3, { hostname: "0.0.0.0", port: 0 });
  return (await load.open(any)).bound;
}

/** Returns a datagram with its header. */
function datagramTo(port: number): Uint8Array<ArrayBuffer> {
  const header = connectRequest(port).with(0, 0).with(1, 0);
  const datagram = new Uint8Array(header.length + DATAGRAM);
  datagram.set(header);
  return datagram;
}

function datagrams(load: Load): Load {
  const { echoDatagrams } = load.backend.ports;
  return load.start(FLOWS, async (index) => {
    const relay: Deno.NetAddr = {
      transport: "udp",
      ...await associate(load),
    };
    const socket = load.own(listenDatagrams());
    const port = echoDatagrams[index % echoDatagrams.length];
    const datagram = datagramTo(port);
    const send = (count: number) => {
      for (let i = 0; i < count; i++) {
        socket.send(datagram, relay).catch(() => {});
      }
    };
    let last = performance.now();
    const timer = setInterval(() => {
      if (performance.now() - last < PATIENCE) return;
      load.failed += WINDOW;
      send(WINDOW);
    }, PATIENCE);
    send(WINDOW);
    const buffer = new Uint8Array(65_507);
    try {
      for (;;) {
        const [answer] = await socket.receive(buffer);
        if (answer.length !== datagram.length) load.failed++;
        last = performance.now();
        load.count++;
        send(1);
      }
    } finally {
      clearInterval(timer);
    }
  });
}

/** {@linkcode datagrams} with less work for this process, and with its own targets. */
function batches(load: Load): Load {
  return load.start(1, async () => {
    const flows = await Promise.all(
      Array.from({ length: FLOWS }, () => Flow.open(load)),
    );
    while (!load.stopped) {
      const end = performance.now() + TURN;
      while (performance.now() < end) {
        for (const flow of flows) flow.turn();
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
}

/** An association, and the target of its datagrams. */
class Flow {
  readonly #load: Load;
  readonly #client: BatchSocket;
  readonly #target: BatchSocket;
  #length = 0;
  #last = 0;

  private constructor(load: Load) {
    this.#load = load;
    this.#client = load.own(new BatchSocket(2 * WINDOW, 2_048));
    this.#target = load.own(new BatchSocket(2 * WINDOW, 2_048));
  }

  static async open(load: Load): Promise<Flow> {
    const relay = await associate(load);
    const flow = new Flow(load);
    const datagram = datagramTo(flow.#target.port);
    flow.#length = datagram.length;
    flow.#client.aim(relay, datagram);
    flow.#client.send(WINDOW);
    flow.#last = performance.now();
    return flow;
  }

  /** Processes the pending datagrams at both ends. */
  turn(): void {
    this.#target.echo();
    const count = this.#client.receive();
    if (count > 0) {
      if (this.#client.length(0) !== this.#length) this.#load.failed++;
      this.#load.count += count;
      this.#last = performance.now();
      this.#client.send(count);
    } else if (performance.now() - this.#last > PATIENCE) {
      this.#load.failed += WINDOW;
      this.#last = performance.now();
      this.#client.send(WINDOW);
    }
  }
}

/** Opens connections, echoes an octet on each, and leaves them open. */
export async function hold(
  connections: number,
  port: number,
  backend: Backend,
): Promise<Load> {
  const load = new Load(port, backend);
  const { echo } = backend.ports;
  let opened = 0;
  load.start(OPENERS, async () => {
    while (opened < connections) {
      const conn = await load.connect(echo[opened++ % echo.length]);
      const octet = new Uint8Array(1);
      await conn.write(octet);
      await readFully(conn, octet, 1);
      load.count++;
    }
  });
  const late = new Promise<void>((resolve) =>
    setTimeout(resolve, HOLD_PATIENCE)
  );
  await Promise.race([load.finished(), late]);
  return load;
}

/** Starts load on the server that listens on a port of `127.0.0.1`. */
export function startLoad(
  mode: LoadMode,
  port: number,
  backend: Backend,
): Load {
  const load = new Load(port, backend);
  switch (mode) {
    case "down":
      return down(load);
    case "up":
      return up(load);
    case "rr":
      return pingPong(load);
    case "conn":
      return connections(load, "127.0.0.1");
    case "name":
      return connections(load, "localhost");
    case "udp":
      return hasBatches ? batches(load) : datagrams(load);
  }
}
