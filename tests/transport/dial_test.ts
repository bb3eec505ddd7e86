/** Happy Eyeballs over a fake network, with a clock that the tests control. */

import { assert, assertEquals } from "@std/assert";
import { dial, dialAddresses, withSignal } from "../../src/transport/dial.ts";
import { AbortSwitch } from "../../src/transport/signal.ts";
import type { Conn, Transport } from "../../src/transport/transport.ts";
import { NetError, type NetErrorKind } from "../../src/transport/errors.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { test } from "../support/harness.ts";
import { assertKind } from "./contract.ts";

interface Attempt {
  readonly hostname: string;
  /** When it started, in milliseconds after the first one. */
  readonly at: number;
  aborted: boolean;
  /** How long it ran until it was aborted. */
  lasted?: number;
}

/** The outcome by address: an error, or the milliseconds until it answers (`Infinity`: never). */
type Network = Record<string, NetErrorKind | number>;

function fakeTransport(network: Network, names: Record<string, string[]>) {
  const attempts: Attempt[] = [];
  const clock = new FakeClock();
  let started: number | undefined;
  /** The time since the first attempt. */
  const elapsed = () => clock.now() - (started ??= clock.now());
  const transport: Transport = {
    name: "fake",
    clock,
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
    connect({ hostname, port, signal }) {
      const at = elapsed();
      const attempt: Attempt = { hostname, at, aborted: false };
      attempts.push(attempt);
      const outcome = network[hostname];
      if (typeof outcome === "string") {
        return Promise.reject(new NetError(outcome));
      }
      return new Promise((resolve, reject) => {
        const remoteAddr = { hostname, port };
        const conn = { remoteAddr, close() {} } as unknown as Conn;
        if (outcome === 0) return resolve(conn);
        const timeout = clock.startTimeout(outcome, () => resolve(conn));
        signal?.addEventListener("abort", () => {
          attempt.aborted = true;
          attempt.lasted = elapsed() - at;
          timeout.cancel();
          reject(new NetError("aborted"));
        });
      });
    },
  };
  return { transport, attempts, clock, elapsed };
}

/** Returns this many addresses. */
function addressesOf(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `192.0.2.${i + 1}`);
}

/** A network with the same outcome for all addresses but some. */
function uniform(
  addresses: string[],
  outcome: Network[string],
  others: Network = {},
): Network {
  const all = Object.fromEntries(addresses.map((it) => [it, outcome]));
  return { ...all, ...others };
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
  const { transport, attempts, clock } = fakeTransport(network, names);
  const conn = await dial(transport, { hostname: "both", port: 80 });
  assertEquals(conn.remoteAddr.hostname, "192.0.2.2");
  assertEquals(attempts.map(({ hostname, at }) => [hostname, at]), [
    ["2001:db8::1", 0],
    ["192.0.2.1", 0],
    ["2001:db8::2", 0],
    ["192.0.2.2", 0],
  ]);
  assertEquals(clock.timers, 0);
});

test("dial() starts the next attempt when one is silent, and aborts the losers", async () => {
  const { transport, attempts, clock } = fakeTransport({
    "2001:db8::1": Infinity,
    "192.0.2.1": 10,
  }, names);
  const dialling = dial(transport, { hostname: "both", port: 80 });
  await clock.run(300, 10);
  assertEquals((await dialling).remoteAddr.hostname, "192.0.2.1");
  assertEquals(
    attempts.map(({ hostname, at, aborted }) => [hostname, at, aborted]),
    [
      ["2001:db8::1", 0, true],
      ["192.0.2.1", 250, true], // fired after it had won, without effect
    ],
  );
  assertEquals(clock.timers, 0);
});

/** A row: how many addresses, which one answers, after how long, when it is connected. */
const answers: readonly (readonly [number, number, number, number])[] = [
  // Up to 8 addresses: every attempt continues until another one answers.
  [5, 1, 1_100, 1_100],
  [5, 1, 3_200, 3_200],
  [8, 1, 9_000, 9_000],
  // More: every attempt has at least 4 seconds.
  [9, 1, 3_900, 3_900],
  [40, 1, 3_900, 3_900],
  [40, 8, 3_900, 1_750 + 3_900],
  [40, 9, 3_900, 4_000 + 3_900],
  // Every address is tried in the end.
  [9, 9, 10, 4_010],
  [17, 17, 10, 8_010],
  [40, 40, 10, 17_760],
];

for (const [count, index, after, expected] of answers) {
  test(`dial() connects to address ${index} of ${count} that answers after ${after} ms when the others are silent`, async () => {
    const many = addressesOf(count);
    const answering = many[index - 1];
    const network = uniform(many, Infinity, { [answering]: after });
    const { transport, clock, elapsed } = fakeTransport(network, { many });
    let connected: string | undefined;
    const signal = new AbortSwitch();
    const dialling = dial(transport, { hostname: "many", port: 80, signal });
    const onConn = ({ remoteAddr }: Conn) => {
      connected = `${remoteAddr.hostname} at ${elapsed()}`;
    };
    dialling.then(onConn, () => {});
    await clock.run(20_000, 10);
    signal.abort(new NetError("aborted"));
    assertEquals(connected, `${answering} at ${expected}`);
    assertEquals(clock.timers, 0);
  });
}

test("dial() tries address 40 of 40 when all others refuse", async () => {
  const many = addressesOf(40);
  const network = uniform(many, "refused", { [many[39]]: 10 });
  const { transport, clock } = fakeTransport(network, { many });
  const dialling = dial(transport, { hostname: "many", port: 80 });
  await clock.run(10_000, 10);
  assertEquals((await dialling).remoteAddr.hostname, many[39]);
});

test("dial() has at most 8 attempts open, and starts at most one every 250 ms", async () => {
  const many = addressesOf(40);
  const silent = fakeTransport(uniform(many, Infinity), { many });
  const { clock, attempts } = silent;
  const signal = new AbortSwitch();
  const where = { hostname: "many", port: 80 };
  const dialled = dial(silent.transport, { ...where, signal });
  const open = () => attempts.filter((it) => !it.aborted).length;
  let most = 0;
  await clock.run(20_000, 10, () => most = Math.max(most, open()));
  assertEquals(most, 8);
  assertEquals(attempts.map(({ hostname }) => hostname), many);
  const waits = attempts.slice(1).map(({ at }, i) => at - attempts[i].at);
  assert(waits.every((it) => it >= 250), `${waits}`);
  const times = attempts.map(({ lasted = Infinity }) => lasted);
  assert(times.every((it) => it >= 4_000), `${times}`);
  signal.abort(new NetError("aborted"));
  await assertKind(dialled, "aborted");
  assertEquals([open(), clock.timers], [0, 0]);
});

test("dial() tries 16 addresses without a delay when all refuse, then one every 250 ms", async () => {
  const many = addressesOf(20);
  const { transport, attempts, clock } = fakeTransport(
    uniform(many, "refused"),
    { many },
  );
  const dialled = dial(transport, { hostname: "many", port: 80 });
  const refused = assertKind(dialled, "refused");
  await clock.run(2_000, 10);
  await refused;
  assertEquals(
    attempts.map(({ at }) => at),
    [...Array(16).fill(0), 250, 500, 750, 1_000],
  );
  assertEquals(clock.timers, 0);
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
  const { transport, attempts, clock } = fakeTransport({
    "2001:db8::1": Infinity,
    "192.0.2.1": Infinity,
    "2001:db8::2": Infinity,
    "192.0.2.2": Infinity,
  }, names);
  const { signal } = controller;
  const dialling = dial(transport, { hostname: "both", port: 80, signal });
  await clock.run(20, 10);
  controller.abort(new NetError("timeout"));
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

test("withSignal() discards only values that are late", async () => {
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
    const { transport, clock } = fakeTransport({}, {});
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
    await clock.run(250, 250);
    opened[0](won);
    opened[1](late);
    assertEquals(await race, won);

    // A timeout tries the second address; an error there would end the process.
    let tried = 0;
    const half = () => tried++ === 0 ? new Promise<Conn>(() => {}) : broken();
    const signal = new AbortSwitch();
    const dialing = dialAddresses(
      { ...transport, connect: half },
      { addresses, port: 80, signal },
    );
    await clock.run(250, 250);
    assertEquals(tried, 2);
    signal.abort(new NetError("aborted"));
    await assertKind(dialing, "aborted");
  },
  { timeout: 5_000 },
);
