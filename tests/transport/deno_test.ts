import { assertEquals } from "@std/assert";
import { execFileSync } from "node:child_process";
import * as net from "node:net";
import process from "node:process";
import { denoTransport } from "../../src/transport/deno/transport.ts";
import * as dgram from "../../src/transport/node/datagrams.ts";
import type { Conn, Transport } from "../../src/transport/transport.ts";
import { openSockets, runtime, test } from "../support/harness.ts";
import {
  assertKind,
  connectedPair,
  datagrams,
  pattern,
  readExactly,
  relays,
  settled,
  until,
} from "./contract.ts";

const skip = runtime === "deno" ? undefined : "needs Deno's sockets";

/** Returns a connection to a socket of `node:net`, which can send RST. */
async function resettable(): Promise<{ conn: Conn; peer: net.Socket }> {
  let accepted!: (conn: Conn) => void;
  const incoming = new Promise<Conn>((resolve) => accepted = resolve);
  const listener = await denoTransport.listen(
    { hostname: "127.0.0.1", port: 0 },
    accepted,
  );
  const peer = net.connect(listener.addr.port, "127.0.0.1");
  peer.on("error", () => {});
  const conn = await incoming;
  await listener.close();
  return { conn, peer };
}

test(
  "listen() accepts others at once when clients reset before they are accepted",
  async () => {
    const errors: unknown[] = [];
    let accepted!: (conn: Conn) => void;
    const first = new Promise<Conn>((resolve) => accepted = resolve);
    const listener = await denoTransport.listen(
      { hostname: "127.0.0.1", port: 0 },
      accepted,
      (error) => errors.push(error),
    );
    const { port } = listener.addr;
    // While this process waits for the other one, it accepts nothing.
    const script = `
      import net from "node:net";
      for (let i = 0; i < 20; i++) {
        const socket = net.connect(${port}, "127.0.0.1");
        socket.on("connect", () => socket.resetAndDestroy());
      }`;
    execFileSync(process.execPath, ["eval", "--quiet", script]);
    const near = await denoTransport.connect({ hostname: "127.0.0.1", port });
    const far = await first;
    assertEquals(far.remoteAddr.port, near.localAddr.port);
    assertEquals(errors, []);
    near.close();
    far.close();
    await listener.close();
  },
  { skip },
);

test("relay() ends with an error of a side when that was reset", async () => {
  for (const side of ["a", "b"] as const) {
    const { conn, peer } = await resettable();
    const other = await connectedPair(denoTransport);
    const relay = side === "a"
      ? denoTransport.relay(conn, other.near)
      : denoTransport.relay(other.near, conn);
    peer.write(pattern(5));
    assertEquals(await readExactly(other.far, 5), pattern(5));
    peer.resetAndDestroy();
    const end = await relay.done;
    assertEquals([end.reason, end.side, end.error?.kind], [
      "error",
      side,
      "reset",
    ]);
    assertEquals(await other.far.read(), null);
    await other.close();
  }
}, { skip });

test(
  "close() releases the socket when the peer does not read and a write is pending",
  async () => {
    const before = openSockets() ?? 0;
    const { near, close } = await connectedPair(denoTransport);
    const writing = near.write(pattern(16 * 1024 * 1024)).catch((e) => e.kind);
    await new Promise((resolve) => setTimeout(resolve, 50));
    near.close();
    assertEquals(await writing, "closed");
    if (before > 0) await until(() => openSockets() === before + 1);
    await close();
  },
  { skip },
);

test(
  "relay() ends when one of its connections is closed directly",
  async () => {
    for (const blocked of [false, true]) {
      const left = await connectedPair(denoTransport);
      const right = await connectedPair(denoTransport);
      const relay = denoTransport.relay(left.far, right.near);
      if (blocked) {
        left.near.write(pattern(16 * 1024 * 1024)).catch(() => {});
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      right.near.close();
      const end = await relay.done;
      assertEquals([end.reason, end.side, end.error?.kind], [
        "error",
        "b",
        "closed",
      ]);
      await left.close();
      await right.close();
    }
  },
  { skip },
);

test(
  "relay() does not mix up its directions when reads grow and shrink",
  async () => {
    const pairs = await Promise.all(
      Array.from({ length: 20 }, async (_, seed) => {
        const left = await connectedPair(denoTransport);
        const right = await connectedPair(denoTransport);
        const relay = denoTransport.relay(left.far, right.near);
        return { seed, left, right, relay };
      }),
    );
    await Promise.all(pairs.map(async ({ seed, left, right }) => {
      for (const size of [1, 512, 513, 70_000, 9, 4096, 900_000, 16_384, 3]) {
        const up = pattern(size, seed + 1);
        const down = pattern(size, seed + 101);
        const [gotUp, gotDown] = await Promise.all([
          readExactly(right.far, size),
          readExactly(left.near, size),
          left.near.write(up),
          right.far.write(down),
        ]);
        assertEquals(gotUp, up);
        assertEquals(gotDown, down);
      }
    }));
    for (const { left, right, relay } of pairs) {
      relay.abort();
      await left.close();
      await right.close();
    }
  },
  { skip },
);

datagrams((what: string, fn: (transport: Transport) => Promise<void>) =>
  test(`node:dgram: ${what}`, async () => {
    await fn({ ...denoTransport, datagrams: dgram.datagrams });
    await settled();
  }, { skip })
);

test(
  "datagrams() uses node:dgram when Deno has no listenDatagram()",
  async () => {
    const { Deno } = globalThis as { Deno?: { listenDatagram?: unknown } };
    const native = Deno!.listenDatagram;
    Deno!.listenDatagram = undefined;
    try {
      const got: string[] = [];
      const socket = await denoTransport.datagrams(
        { hostname: "127.0.0.1", port: 0 },
        (payload, hostname) => got.push(`${payload.length} of ${hostname}`),
      );
      socket.send(pattern(12), socket.addr.hostname, socket.addr.port);
      await until(() => got.length > 0);
      assertEquals(got, ["12 of 127.0.0.1"]);
      socket.close();
    } finally {
      Deno!.listenDatagram = native;
    }
  },
  { skip },
);

/** Deno's transport, with an explicit local address for each connection. */
const connectingFrom: Transport = {
  ...denoTransport,
  connect: (options) => {
    const isIPv6 = options.hostname.includes(":");
    const localAddress = isIPv6 ? "::1" : "127.0.0.1";
    return denoTransport.connect({ localAddress, ...options });
  },
};

/** Tests in which sockets of `node:net` differ: they can reset, and lose data as tested below. */
const gaps = [
  "turns a reset of one side into the end for the other one",
  "resets both sides when it is aborted",
  "delivers buffered bytes to a slow receiver when both sides have sent FIN",
];

relays(
  (what, fn) => {
    const isGap = gaps.some((it) => what.endsWith(it));
    if (!isGap) test(what, () => fn(connectingFrom), { skip });
  },
  { noReset: true },
  "relay() from an address",
  (transport) => transport.relay,
);

test(
  "write() from a local address rejects when a slow target has sent FIN",
  async () => {
    const { near, far, close } = await connectedPair(connectingFrom);
    await far.closeWrite();
    assertEquals(await near.read(), null);
    await assertKind(near.write(pattern(64 * 1024 * 1024)), "reset");
    await close();
  },
  { skip },
);

test(
  "connect() leaves no socket open when its signal fires as the connection is made",
  async () => {
    const listener = await denoTransport.listen(
      { hostname: "127.0.0.1", port: 0 },
      (conn) => conn.close(),
    );
    const before = openSockets();
    for (let i = 0; i < 2_000; i++) {
      const stop = new AbortController();
      const { port } = listener.addr;
      const { signal } = stop;
      const where = { hostname: "127.0.0.1", port, signal };
      const connecting = denoTransport.connect(where).then(
        (conn) => conn.close(),
        () => {},
      );
      await new Promise<void>((resolve) => setTimeout(resolve)); // as long as it takes to connect
      stop.abort();
      await connecting;
    }
    await listener.close();
    // One less: that of the listener.
    if (before !== undefined) await until(() => openSockets()! < before);
  },
  { skip },
);

test(
  "sourceAddress() returns zeros when the interfaces cannot be listed despite the permission",
  async () => {
    const { Deno } = globalThis as unknown as {
      Deno: { networkInterfaces: () => unknown };
    };
    const { networkInterfaces } = Deno;
    Deno.networkInterfaces = () => {
      throw new Error("Address family not supported by protocol");
    };
    try {
      const { sourceAddress } = denoTransport;
      assertEquals(await sourceAddress("192.0.2.1"), "0.0.0.0");
      assertEquals(await sourceAddress("2001:db8::1"), "::");
    } finally {
      Deno.networkInterfaces = networkInterfaces;
    }
  },
  { skip },
);
