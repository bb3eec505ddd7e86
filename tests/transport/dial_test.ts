/** Happy Eyeballs over a fake network. */

import { assert, assertEquals } from "@std/assert";
import { dial, dialAddresses, withSignal } from "../../src/transport/dial.ts";
import { AbortSwitch } from "../../src/transport/signal.ts";
import type { Conn, Transport } from "../../src/transport/transport.ts";
import { NetError, type NetErrorKind } from "../../src/transport/errors.ts";
import { test } from "../support/harness.ts";
import { assertKind, until } from "./contract.ts";

interface Attempt {
  readonly hostname: string;
  readonly at: number;
  aborted: boolean;
  closed: boolean;
}

/** The outcome by address: an error, or the milliseconds until it answers (`Infinity`: never). */
type Network = Record<string, NetErrorKind | number>;

function fakeTransport(
  network: Network,
  names: Record<string, string[]>,
  onConnect: () => void = () => {},
) {
  const attempts: Attempt[] = [];
  const started = performance.now();
  const transport: Transport = {
    name: "fake",
    listen: () => Promise.reject(new Error("not here")),
    relay: () => {
      throw new Error("not here");
    },
    datagrams: () => Promise.reject(new Error("not here")),
    sourceAddress: () => Promise.reject(new Error("not here")),
    lookup: (name) =>
      names[name]
        ? Promise.resolve(names[name])
        : Promise.reject(new NetError("dns")),
    connect({ hostname, signal }) {
      const attempt: Attempt = {
        hostname,
        at: performance.now() - started,
        aborted: false,
        closed: false,
      };
      attempts.push(attempt);
      onConnect();
      const outcome = network[hostname];
      if (typeof outcome === "string") {
        return Promise.reject(new NetError(outcome));
      }
      return new Promise((resolve, reject) => {
        const conn = {
          remoteAddr: { hostname, port: 80 },
          close: () => attempt.closed = true,
        } as unknown as Conn;
        const timer = outcome === Infinity
          ? undefined
          : setTimeout(() => resolve(conn), outcome);
        signal?.addEventListener("abort", () => {
          attempt.aborted = true;
          clearTimeout(timer);
          reject(new NetError("aborted"));
        });
      });
    },
  };
  return { transport, attempts };
}

const names = {
  both: ["2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2"],
};

test("dial() connects to an address without a look-up", async () => {
  for (const hostname of ["192.0.2.1", "2001:db8::1"]) {
    const { transport } = fakeTransport({ [hostname]: 0 }, {});
    const conn = await dial(transport, { hostname, port: 80 });
    assertEquals(conn.remoteAddr.hostname, hostname);
  }
});

test("dial() alternates the families, and tries the next address as soon as one fails", async () => {
  const network: Network = {
    "2001:db8::1": "net-unreachable",
    "192.0.2.1": "refused",
    "2001:db8::2": "timeout",
    "192.0.2.2": 0,
  };
  let waited = false;
  const timer = setTimeout(() => waited = true);
  const waits: boolean[] = [];
  const { transport, attempts } = fakeTransport(
    network,
    names,
    () => waits.push(waited),
  );
  const conn = await dial(transport, { hostname: "both", port: 80 });
  assertEquals(conn.remoteAddr.hostname, "192.0.2.2");
  assertEquals(attempts.map(({ hostname }) => hostname), [
    "2001:db8::1",
    "192.0.2.1",
    "2001:db8::2",
    "192.0.2.2",
  ]);
  clearTimeout(timer);
  assertEquals(waits, [false, false, false, false]);
});

test("dial() starts the next attempt when one is silent, and aborts the losers", async () => {
  const { transport, attempts } = fakeTransport({
    "2001:db8::1": Infinity,
    "192.0.2.1": 10,
  }, names);
  const conn = await dial(transport, { hostname: "both", port: 80 });
  assertEquals(conn.remoteAddr.hostname, "192.0.2.1");
  assertEquals(attempts.map(({ hostname, aborted }) => [hostname, aborted]), [
    ["2001:db8::1", true],
    ["192.0.2.1", true], // fired after it had won, without effect
  ]);
  assert(attempts[1].at >= 200, "the first one had its time");
});

test("dial() limits the open attempts, and the addresses of a name", async () => {
  const many = Array.from({ length: 40 }, (_, i) => `192.0.2.${i + 1}`);
  const silent = fakeTransport(
    Object.fromEntries(many.map((it) => [it, Infinity])),
    { many },
  );
  const signal = new AbortSwitch();
  const where = { hostname: "many", port: 80 };
  const dialled = dial(silent.transport, { ...where, signal });
  const open = () => silent.attempts.filter((it) => !it.aborted).length;
  await until(() => silent.attempts.length === 6);
  assertEquals(open(), 4);
  signal.abort(new NetError("aborted"));
  await assertKind(dialled, "aborted");
  assertEquals(open(), 0);

  const closed = fakeTransport(
    Object.fromEntries(many.map((it) => [it, "refused"])),
    { many },
  );
  await assertKind(dial(closed.transport, where), "refused");
  assertEquals(closed.attempts.length, 16);
});

test("dial() rejects with the most specific error", async () => {
  const cases: [NetErrorKind[], NetErrorKind][] = [
    [["net-unreachable", "refused"], "refused"],
    [["refused", "net-unreachable"], "refused"],
    [["host-unreachable", "timeout"], "timeout"],
    [["other", "net-unreachable"], "net-unreachable"],
    [["descriptors", "other"], "descriptors"],
  ];
  for (const [kinds, kind] of cases) {
    const network = { "2001:db8::1": kinds[0], "192.0.2.1": kinds[1] };
    const { transport } = fakeTransport(network, {
      two: ["2001:db8::1", "192.0.2.1"],
    });
    await assertKind(dial(transport, { hostname: "two", port: 80 }), kind);
  }
  const { transport } = fakeTransport({}, {});
  await assertKind(dial(transport, { hostname: "none", port: 80 }), "dns");
});

test("dial() rejects when its signal fires, in the look-up and in the attempts", async () => {
  const controller = new AbortController();
  const { transport, attempts } = fakeTransport({
    "2001:db8::1": Infinity,
    "192.0.2.1": Infinity,
    "2001:db8::2": Infinity,
    "192.0.2.2": Infinity,
  }, names);
  const { signal } = controller;
  const dialling = dial(transport, { hostname: "both", port: 80, signal });
  setTimeout(() => controller.abort(new NetError("timeout")), 20);
  await assertKind(dialling, "timeout");
  assertEquals(attempts.map(({ aborted }) => aborted), [true]);

  const stuck = { ...transport, lookup: () => new Promise<string[]>(() => {}) };
  const again = dial(stuck, {
    hostname: "both",
    port: 80,
    signal: AbortSignal.abort(),
  });
  await assertKind(again, "aborted");
});

test("dialAddresses() tries nothing when its signal has fired before", async () => {
  const signal = AbortSignal.abort(new NetError("aborted"));
  const { transport, attempts } = fakeTransport({ "192.0.2.1": 1 }, {});
  const addresses = ["192.0.2.1", "2001:db8::1"];
  const dialled = dialAddresses(transport, { addresses, port: 80, signal });
  await assertKind(dialled, "aborted");
  assertEquals(attempts.length, 0);
});

test("withSignal() discards a value that is late, and only that", async () => {
  const discarded: number[] = [];
  const discard = (it: number) => {
    discarded.push(it);
    throw new TypeError("not of the expected type");
  };
  const stop = new AbortSwitch();
  let settle!: (it: number) => void;
  const late = withSignal(
    new Promise<number>((resolve) => settle = resolve),
    stop,
    discard,
  );
  assertEquals(await withSignal(Promise.resolve(1), stop, discard), 1);
  stop.abort(new NetError("aborted"));
  await assertKind(late, "aborted");
  settle(2);
  await assertKind(withSignal(Promise.resolve(3), stop, discard), "aborted");
  await Promise.resolve();
  assertEquals(discarded.sort(), [2, 3]);
});

test(
  "dialAddresses() rejects when the transport throws, and closes late connections quietly",
  async () => {
    const { transport } = fakeTransport({}, {});
    const addresses = ["192.0.2.1", "192.0.2.2"];
    const broken = () => {
      throw new NetError("denied");
    };
    const refusing = { ...transport, connect: broken };
    await assertKind(
      dialAddresses(refusing, { addresses, port: 80 }),
      "denied",
    );

    const won = { close() {} } as Conn;
    const late = { close: broken } as unknown as Conn;
    const opened: ((conn: Conn) => void)[] = [];
    const connect = () => new Promise<Conn>((resolve) => opened.push(resolve));
    const race = dialAddresses({ ...transport, connect }, {
      addresses,
      port: 80,
    });
    await until(() => opened.length === 2);
    opened[0](won);
    opened[1](late);
    assertEquals(await race, won);

    // The second address is tried by a timeout, where an error would end the process.
    let tried = 0;
    const half = () => tried++ === 0 ? new Promise<Conn>(() => {}) : broken();
    const signal = new AbortSwitch();
    const dialing = dialAddresses(
      { ...transport, connect: half },
      { addresses, port: 80, signal },
    );
    await until(() => tried === 2);
    signal.abort(new NetError("aborted"));
    await assertKind(dialing, "aborted");
  },
  { timeout: 5_000 },
);
