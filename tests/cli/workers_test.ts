import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { LazyAccounting } from "../../src/cli/accounting/lazy_accounting.ts";
import { ConfigFileReader } from "../../src/cli/config/files.ts";
import { parseFlags } from "../../src/cli/config/flags.ts";
import { load, type LoadedConfig } from "../../src/cli/config/load.ts";
import type { LogRecord } from "../../src/cli/output/record.ts";
import type { SessionTexts } from "../../src/cli/serve/control/control.ts";
import { Backoff } from "../../src/cli/workers/backoff.ts";
import type {
  Launcher,
  WorkerChannel,
  WorkerExit,
  WorkerHandlers,
} from "../../src/cli/workers/channel.ts";
import { openLauncher } from "../../src/cli/workers/launcher.ts";
import type {
  Call,
  FromWorker,
  ToWorker,
} from "../../src/cli/workers/messages.ts";
import {
  executeCalls,
  RemoteLimitsStore,
} from "../../src/cli/workers/remote_store.ts";
import { Supervisor } from "../../src/cli/workers/supervisor.ts";
import { connect } from "../../src/client/mod.ts";
import { Coordinator } from "../../src/server/cluster/coordinator.ts";
import { hashPassword } from "../../src/server/auth/password_hash.ts";
import { type Clock, systemClock } from "../../src/transport/clock.ts";
import { NetError } from "../../src/transport/errors.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { runtime, test } from "../support/harness.ts";
import { withClock } from "../support/skipping_clock.ts";
import { settled, until } from "../transport/contract.ts";
import { LOOPBACK, withEcho } from "./echo.ts";

type Start = Extract<ToWorker, { type: "start" }>;

/** A worker that is controlled by the test. */
class FakeWorker {
  readonly received: ToWorker[] = [];
  /** Whether the worker ignores all messages. */
  hangs = false;
  readonly #handlers: WorkerHandlers;
  #hasEnded = false;

  constructor(handlers: WorkerHandlers) {
    this.#handlers = handlers;
  }

  get start(): Start {
    return this.received.find((it) => it.type === "start")!;
  }

  /** The type of the last message. */
  get lastType(): ToWorker["type"] | undefined {
    return this.received.at(-1)?.type;
  }

  send(message: FromWorker): void {
    this.#handlers.onMessage(message);
  }

  exit(exit: WorkerExit = { code: 0 }): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#handlers.onExit(exit);
  }

  /** Whether the supervisor lets it have one more session. */
  acquire(): boolean {
    const id = this.received.length + 1;
    const requests = [{ limit: "sessions", key: "", max: 3 }];
    this.send({ type: "calls", calls: [[id, "acquire", [requests]]] });
    const last = this.received.at(-1)!;
    assert(last.type === "results");
    return last.results[0][1] === null;
  }
}

/** What a worker does when it is started. */
type OnStart = (worker: FakeWorker, start: Start) => void;

const noInput = { read: () => Promise.resolve(null) };

const listen: OnStart = (worker, { port }) =>
  worker.send({
    type: "listening",
    addr: { hostname: "127.0.0.1", port: port || 4321 },
  });

interface Supervised {
  readonly supervisor: Supervisor;
  readonly workers: FakeWorker[];
  readonly records: LogRecord[];
  readonly accounting: LazyAccounting;
}

interface SuperviseOptions {
  readonly args?: string[];
  readonly onStart?: OnStart;
  readonly clock?: Clock;
  readonly sharesListener?: boolean;
  /** @default a launcher of fake workers */
  readonly launcher?: Launcher;
}

/** Starts a supervisor of two fake workers. */
async function supervise(
  {
    args = [],
    onStart = listen,
    clock = systemClock,
    sharesListener = false,
    launcher,
  }: SuperviseOptions = {},
): Promise<Supervised> {
  const workers: FakeWorker[] = [];
  const records: LogRecord[] = [];
  const command = parseFlags(["--port", "0", ...args]);
  assert(command.type === "serve");
  const { commandLine } = command;
  const files = new ConfigFileReader(noInput);
  const loaded = await load(commandLine, files.read);
  const accounting = new LazyAccounting({
    interval: 60_000,
    log: (record) => records.push(record),
  });
  const supervisor = await Supervisor.start({
    workers: 2,
    commandLine,
    loaded,
    files: () => files.texts,
    log: (record) => records.push(record),
    accounting,
    clock,
    launcher: launcher ?? {
      sharesListener,
      start(handlers) {
        const worker = new FakeWorker(handlers);
        workers.push(worker);
        queueMicrotask(() => worker.send({ type: "ready" }));
        return {
          pid: workers.length,
          post(message) {
            worker.received.push(message);
            if (worker.hangs) return;
            if (message.type === "start") onStart(worker, message);
            if (message.type === "stop-accepting") {
              worker.send({ type: "stopped-accepting", sessions: 3 });
            }
            if (message.type === "shutdown" || message.type === "exit") {
              worker.exit();
            }
          },
          kill: () => worker.exit({ signal: "SIGKILL" }),
        };
      },
    },
  });
  return { supervisor, workers, records, accounting };
}

/** Loads a configuration without flags. */
async function loadDefaults(): Promise<LoadedConfig> {
  const command = parseFlags([]);
  assert(command.type === "serve");
  const { read } = new ConfigFileReader(noInput);
  return await load(command.commandLine, read);
}

test("Supervisor.start() passes the port of the first worker to the others", async () => {
  const { supervisor, workers } = await supervise();
  assertEquals(supervisor.addr.port, 4321);
  assertEquals(workers.map(({ start }) => start.port), [0, 4321]);
  assertEquals(workers.map(({ start }) => start.worker), [1, 2]);
  await supervisor.terminate();
});

test("Supervisor.start() rejects with the error of a worker, and leaves no worker", async () => {
  const workers: FakeWorker[] = [];
  const onStart: OnStart = (worker, start) => {
    workers.push(worker);
    if (start.worker === 1) listen(worker, start);
    else worker.send({ type: "failed", kind: "denied", message: "no" });
  };
  const error = await assertRejects(() => supervise({ onStart }), NetError);
  assertEquals([error.kind, error.message], ["denied", "no"]);
  assertEquals(workers.length, 2);
});

test("Supervisor.start() rejects when a worker ends before it listens", async () => {
  const onStart: OnStart = (worker) => worker.exit({ code: 7 });
  const error = await assertRejects(() => supervise({ onStart }), Error);
  assertMatch(error.message, /worker \d ended: exit code 7/);
});

test("Supervisor releases the limits of a worker that ends, restarts it, and logs both", () =>
  withClock(async (clock) => {
    const { supervisor, workers, records } = await supervise({
      args: ["--max-sessions=3"],
      clock,
    });
    const [one, other] = workers;
    const acquired = [
      one.acquire(),
      one.acquire(),
      other.acquire(),
      other.acquire(),
    ];
    assertEquals(acquired, [true, true, true, false]);
    one.exit({ signal: "SIGSEGV" });
    assertEquals([1, 2, 3].map(() => other.acquire()), [true, true, false]);
    await until(() => records.length === 1);
    const [ended] = records;
    assert(ended.type === "worker-ended");
    assertEquals([ended.worker, ended.signal], [1, "SIGSEGV"]);
    clock.skip(ended.delay);
    await until(() => records.length === 2);
    assertEquals(workers.length, 3);
    const { start } = workers[2];
    assertEquals([start.worker, start.port], [3, 4321]);
    const started = { type: "worker-started", worker: 3, replaces: 1, pid: 3 };
    assertEquals(records[1], started as LogRecord);
    other.send({
      type: "calls",
      calls: [[null, "release", [{ limit: "sessions", key: "" }]]],
    });
    assertEquals([workers[2].acquire(), workers[2].acquire()], [true, false]);
    await supervisor.terminate();
  }));

test("Supervisor ignores messages of a worker that has ended: nothing would release its slots", () =>
  withClock(async (clock) => {
    const { supervisor, workers, records } = await supervise({
      args: ["--max-sessions=3"],
      clock,
    });
    const [one, other] = workers;
    const requests = [{ limit: "sessions", key: "", max: 3 }];
    one.exit({ signal: "SIGKILL" });
    // Read from the channel only after the end of the process was noticed.
    one.send({
      type: "calls",
      calls: [[1, "acquire", [requests]], [2, "acquire", [requests]]],
    });
    assertEquals([1, 2, 3].map(() => other.acquire()), [true, true, true]);
    await until(() => records.length === 1);
    await supervisor.terminate();
  }));

test("Supervisor.start() restarts no worker after it has rejected", () =>
  withClock(async (clock) => {
    const workers: FakeWorker[] = [];
    const onStart: OnStart = (worker, start) => {
      workers.push(worker);
      if (start.worker === 1) listen(worker, start);
    };
    const rejected = assertRejects(() => supervise({ onStart, clock }));
    await until(() => workers.length === 2);
    workers[0].exit({ code: 1 });
    await settled();
    workers[1].send({ type: "failed", message: "no" });
    await rejected;
    clock.skip(60_000);
    await settled();
    assertEquals(workers.length, 2);
  }));

test("Supervisor logs why a worker cannot restart, and tries again", () =>
  withClock(async (clock) => {
    let count = 0;
    const onStart: OnStart = (worker, start) => {
      if (++count === 3) worker.send({ type: "failed", message: "broken" });
      else listen(worker, start);
    };
    const { supervisor, workers, records } = await supervise({
      onStart,
      clock,
    });
    workers[1].exit({ code: 1 });
    for (let ends = 1; ends <= 2; ends++) {
      await until(() => records.length === ends);
      const ended = records[ends - 1];
      assert(ended.type === "worker-ended");
      clock.skip(ended.delay);
    }
    await until(() => records.some(({ type }) => type === "worker-started"));
    assertEquals(workers.length, 4);
    const errors = records.map((it) =>
      it.type === "worker-ended" ? it.error : it.type
    );
    assertEquals(errors, [undefined, "broken", "worker-started"]);
    const numbers = records.map((it) => "worker" in it && it.worker);
    assertEquals(numbers, [2, 3, 4]);
    await supervisor.terminate();
  }));

test("Supervisor.stopAccepting() adds up the sessions of all workers, and no worker restarts after it", () =>
  withClock(async (clock) => {
    const { supervisor, workers, records } = await supervise({ clock });
    workers[0].exit({ code: 1 });
    await until(() => records.length === 1);
    assertEquals(await supervisor.stopAccepting(), 3);
    clock.skip(60_000);
    await supervisor.shutdown({ grace: 5 });
    assertEquals(workers.length, 2);
    assertEquals(workers[1].received.at(-1), { type: "shutdown", grace: 5 });
  }));

test("Supervisor.drain() lets all workers prepare to stop, and still restarts them", () =>
  withClock(async (clock) => {
    const { supervisor, workers, records } = await supervise({ clock });
    supervisor.drain();
    await until(() =>
      workers.every(({ received }) => received.at(-1)?.type === "drain")
    );
    workers[0].exit({ code: 1 });
    await until(() => records.length === 1);
    clock.skip(60_000);
    await until(() => workers.length === 3);
    await supervisor.shutdown({ grace: 0 });
  }));

test("Supervisor.stopAccepting() sends its message to a starting worker when it listens", () =>
  withClock(async (clock) => {
    let count = 0;
    const { supervisor, workers, records } = await supervise({
      onStart: (worker, start) => {
        if (++count < 3) listen(worker, start);
      },
      clock,
    });
    workers[0].exit({ code: 1 });
    await until(() => records.length === 1);
    clock.skip(1_000);
    await until(() => workers[2]?.received.length === 1);
    const sessions = supervisor.stopAccepting();
    assertEquals(workers[2].received.length, 1);
    listen(workers[2], workers[2].start);
    assertEquals(await sessions, 6);
    await supervisor.shutdown({ grace: 0 });
    assertEquals(records.length, 2);
  }));

test("Supervisor.update() changes nothing when the options are wrong", async () => {
  const { supervisor, workers } = await supervise();
  const loaded = await loadDefaults();
  const limits = { sessions: -1 };
  await assertRejects(() => supervisor.update({ limits }, loaded), TypeError);
  for (const { received } of workers) {
    assertEquals(received.map(({ type }) => type), ["start"]);
  }
  await supervisor.terminate();
});

test("Supervisor restarts a worker at the same address, whatever the files contain by then", () =>
  withClock(async (clock) => {
    const { supervisor, workers, records } = await supervise({
      args: ["--hostname", "::1", "--log", "json"],
      clock,
    });
    workers[0].exit({ code: 1 });
    await until(() => records.length === 1);
    clock.skip(1_000);
    await until(() => workers[2]?.received.length === 1);
    const starts = workers.map((
      { start: { hostname, log } },
    ) => [hostname, log]);
    assertEquals(starts, [["::1", "json"], ["::1", "json"], ["::1", "json"]]);
    await supervisor.terminate();
  }));

test("Supervisor restarts workers with a common socket on the same port after all of them have ended", () =>
  withClock(async (clock) => {
    const options = { clock, sharesListener: true };
    const { supervisor, workers, records } = await supervise(options);
    assertEquals(workers.map(({ start }) => start.port), [0, 0]);
    // One alone gets the port by requesting port 0 again.
    workers[0].exit({ code: 1 });
    await until(() => records.length === 1);
    clock.skip(1_000);
    await until(() => records.length === 2);
    assertEquals(workers[2].start.port, 0);
    for (const it of workers) it.exit({ code: 1 });
    await until(() => records.length === 4);
    clock.skip(30_000);
    await until(() => records.length === 6);
    assertEquals(workers.slice(3).map(({ start }) => start.port), [4321, 4321]);
    await supervisor.terminate();
  }));

test("Supervisor restarts a worker that listens on another port than the others did", () =>
  withClock(async (clock) => {
    let count = 0;
    const onStart: OnStart = (worker, start) => {
      if (++count !== 3) return listen(worker, start);
      const addr = { hostname: "127.0.0.1", port: 5432 };
      worker.send({ type: "listening", addr });
    };
    const options = { clock, onStart, sharesListener: true };
    const { supervisor, workers, records } = await supervise(options);
    workers[0].exit({ code: 1 });
    for (let ends = 1; ends <= 2; ends++) {
      await until(() => records.length === ends);
      clock.skip(ends * 1_000); // the delay doubles
    }
    await until(() => records.length === 3);
    const [, ended, started] = records;
    assert(ended.type === "worker-ended");
    assertEquals(ended.signal, "SIGKILL");
    assertMatch(ended.error ?? "", /listened on port 5432, not on 4321/);
    assertEquals(started.type, "worker-started");
    assertEquals(workers[3].start.port, 4321);
    await supervisor.terminate();
  }));

test("Supervisor does not wait for a worker that hangs, and kills it", () =>
  withClock(async (clock) => {
    const { supervisor, workers, records } = await supervise({ clock });
    const [one, other] = workers;
    one.hangs = true;
    const updated = supervisor.update({}, await loadDefaults());
    await until(() => other.lastType === "update");
    other.send({ type: "updated" });
    await settled();
    clock.skip(61_000);
    await updated;
    await until(() => workers.length === 3);
    assertEquals(records[0].type, "worker-ended");

    workers[2].hangs = true;
    const sessions = supervisor.stopAccepting();
    await settled();
    clock.skip(2_000);
    assertEquals(await sessions, 3);
    const over = supervisor.shutdown({ grace: 5_000 });
    await until(() => workers[2].lastType === "shutdown");
    clock.skip(20_000);
    await over;
  }));

test("Supervisor.metrics() adds up the metrics of the workers, and takes the last known ones of a worker that hangs", () =>
  withClock(async (clock) => {
    const { supervisor, workers } = await supervise({ clock });
    const [one, other] = workers;
    const values = (total: number, open: number) => ({
      type: "metrics" as const,
      values: { x_total: total, open },
    });
    const metrics = supervisor.metrics();
    one.send(values(2, 1));
    other.send(values(3, 1));
    const program = { socks5_workers: 2, socks5_worker_exits_total: 0 };
    assertEquals(await metrics, { x_total: 5, open: 2, ...program });
    const later = supervisor.metrics();
    one.send(values(4, 0));
    await settled();
    clock.skip(1_000); // the other worker hangs
    assertEquals(await later, { x_total: 7, open: 1, ...program });
    other.send(values(9, 0)); // too late for this reading, in time for the next one
    other.exit({ signal: "SIGKILL" });
    const last = supervisor.metrics();
    one.send(values(5, 0));
    const { x_total, open } = await last;
    assertEquals({ x_total, open }, { x_total: 14, open: 0 });
    await supervisor.terminate();
  }));

test("Supervisor counts what all workers report, also one that has ended", async () => {
  const { supervisor, workers, accounting } = await supervise();
  const [one, two] = workers;
  const use = { user: "alice", received: 2, sessions: 1 };
  const call = (id: number, sent: number): Call => [
    id,
    "addUsage",
    [[{ ...use, sent }]],
  ];
  one.send({ type: "calls", calls: [call(1, 10)] });
  await until(() => one.received.some((it) => it.type === "results"));
  two.send({ type: "calls", calls: [call(7, 5)] });
  await until(() => two.received.some((it) => it.type === "results"));
  const last = two.received.at(-1);
  assert(last?.type === "results");
  const [[id, value]] = last.results;
  const total = { sent: 15, received: 4, sessions: 2 };
  assertEquals(id, 7);
  assertEquals(value, [
    { user: "alice", total, day: total, month: total },
  ]);
  one.exit({ signal: "SIGKILL" });
  const users = supervisor.userTotals();
  await until(() => two.received.some((it) => it.type === "report-usage"));
  two.send({ type: "usage-reported" });
  assertEquals((await users).map((it) => [it.user, it.total.sent]), [
    ["alice", 15],
  ]);
  await supervisor.terminate();
  await accounting.close();
});

test("executeCalls() answers with the error of accounting that fails", async () => {
  const accounting = { add: () => Promise.reject(new Error("away")) };
  const limits = new Coordinator().open();
  const results = await new Promise((resolve) =>
    executeCalls(
      { limits, accounting },
      [[1, "addUsage", [[]]]],
      resolve,
    )
  );
  assertEquals(results, [[1, null, "away"]]);
  const store = new RemoteLimitsStore(() =>
    store.onResults([[1, null, "away"]])
  );
  await assertRejects(() => store.addUsage([]), Error, "away");
});

test("Backoff.next() grows while workers fail early, and starts over after a stable one", () => {
  const backoff = new Backoff();
  const delays = [5, 5, 5, 5, 5, 5, 5, 20_000, 5].map((it) => backoff.next(it));
  assertEquals(
    delays,
    [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 0, 1_000],
  );
});

test(
  "openThreads() reports the error of a thread that fails, and the process continues",
  async () => {
    const { openThreads } = await import("../../src/cli/workers/threads.ts");
    const hash = await hashPassword("one", { iterations: 1 });
    let onListening!: () => void;
    const listening = new Promise<void>((resolve) => onListening = resolve);
    const exit = await new Promise<WorkerExit>((onExit) => {
      const thread = openThreads().start({
        onMessage(message) {
          if (message.type === "listening") onListening();
          if (message.type === "failed") onExit({ error: message.message });
          if (message.type !== "ready") return;
          const commandLine = { config: { usersFile: ["users"] }, logins: [] };
          const files = [["users", `alice:${hash}`]] as const;
          const which = { worker: 1, workers: 2, hostname: undefined, port: 0 };
          const log = { log: "off", logStart: false, metrics: false } as const;
          const egressKey: number[] = Array(16).fill(0);
          const how = { ...which, ...log, egressKey, accounting: 0 };
          thread.post({ type: "start", ...how, commandLine, files });
        },
        onExit,
      });
      // Without the users file, the worker cannot adopt the configuration.
      listening.then(() => thread.post({ type: "update", files: [] }));
    });
    assertMatch(exit.error ?? "", /users: was not read/);
  },
  {
    skip: runtime === "deno" ? undefined : "only Deno's workers are threads",
  },
);

/** The ids of sessions. */
function idsOf({ rows }: SessionTexts): string[] {
  return rows.map((it) => JSON.parse(it).id);
}

/** Answers a request of the supervisor. */
type Respond = (method: string, args: readonly unknown[]) => unknown;

/** The answers of a worker that has these sessions. */
function pages(
  rows: readonly (readonly [id: string, sent: number])[],
): Respond {
  const sessions = rows.map(([id, sent]) => ({ id, sent, user: "alice" }));
  return (method, [query]) => {
    switch (method) {
      case "sessions": {
        const { limit } = query as { limit: number };
        const { length } = sessions;
        const first = sessions.slice(0, limit);
        return {
          total: length,
          matched: length,
          keys: first.map(({ sent }) => sent),
          rows: first.map((it) => JSON.stringify(it)),
        };
      }
      case "end":
        return { ended: sessions.length };
      case "users":
        return {
          users: [{
            name: "alice",
            sessions: sessions.length,
            sent: sessions.reduce((sum, it) => sum + it.sent, 0),
            received: 0,
          }],
        };
    }
  };
}

/** Lets a worker answer the requests that it has received and not answered. */
function answer(worker: FakeWorker, respond: Respond): number {
  let answered = 0;
  for (const message of worker.received.splice(1)) {
    if (message.type !== "request") continue;
    const { id, method, args } = message;
    worker.send({ type: "response", id, value: respond(method, args) });
    answered++;
  }
  return answered;
}

const BY_SENT = { sort: "-sent", limit: 3 } as const;

test("Supervisor.control puts the sessions and users of all workers together", async () => {
  const { supervisor, workers } = await supervise();
  const [one, other] = workers;
  const first = pages([["1-1", 9], ["1-2", 7], ["1-3", 1]]);
  const second = pages([["2-1", 8], ["2-2", 2]]);
  const both = async <T>(result: Promise<T>): Promise<T> => {
    assertEquals([answer(one, first), answer(other, second)], [1, 1]);
    return await result;
  };
  const { control } = supervisor;
  const page = await both(control.sessions(BY_SENT));
  assertEquals([page.total, page.matched, page.missing], [5, 5, undefined]);
  assertEquals(idsOf(page), ["1-1", "2-1", "1-2"]);
  assertEquals(await both(control.end({ user: "alice" })), { ended: 5 });
  assertEquals(await both(control.users()), {
    users: [{ name: "alice", sessions: 5, sent: 27, received: 0 }],
  });
  await supervisor.terminate();
});

test("Supervisor.control answers without a worker that hangs, and asks it no more until it has replied", () =>
  withClock(async (clock) => {
    const { supervisor, workers } = await supervise({ clock });
    const [one, other] = workers;
    const respond = pages([["1-1", 9]]);
    const { control } = supervisor;
    const ids = async (page: ReturnType<typeof control.sessions>) => {
      const texts = await page;
      return [idsOf(texts), texts.missing];
    };
    const waiting = control.sessions(BY_SENT);
    answer(one, respond);
    clock.skip(1_000);
    assertEquals(await ids(waiting), [["1-1"], 1]);
    // The next ones do not wait for it, and do not fill its channel.
    const before = other.received.length;
    for (let i = 0; i < 3; i++) {
      const asked = control.sessions(BY_SENT);
      answer(one, respond);
      assertEquals(await ids(asked), [["1-1"], 1]);
    }
    assertEquals(other.received.length, before);
    answer(other, pages([["2-1", 1]])); // too late
    const asked = control.sessions(BY_SENT);
    answer(one, respond);
    answer(other, pages([["2-1", 1]]));
    assertEquals(await ids(asked), [["1-1", "2-1"], undefined]);
    await supervisor.terminate();
  }));

test("Supervisor.control adds up the totals of workers, with the last known ones of those that hang or have ended", () =>
  withClock(async (clock) => {
    const { supervisor, workers } = await supervise({ clock });
    const [one, other] = workers;
    const totals = (sessions: number, sent: number) => () => {
      const rest = { started: 3, rejected: 0, denied: 1 };
      return { workers: 1, sessions, sent, received: 2 * sent, ...rest };
    };
    const { control } = supervisor;
    const both = control.counters();
    assertEquals(answer(one, totals(1, 10)), 1);
    assertEquals(answer(other, totals(2, 5)), 1);
    const rest = { started: 6, rejected: 0, denied: 2 };
    const first = { workers: 2, sessions: 3, sent: 15, received: 30, ...rest };
    assertEquals(await both, first);
    const later = control.counters();
    answer(one, totals(1, 11));
    clock.skip(1_000); // the other worker hangs
    assertEquals(await later, { ...first, sent: 16, received: 32 });
    other.exit({ signal: "SIGKILL" });
    await until(() => clock.waiting > 0);
    clock.skip(60_000); // until it is started again
    await until(() => supervisor.pids!.length === 2);
    await settled();
    const last = control.counters();
    assertEquals(answer(one, totals(0, 12)), 1);
    assertEquals(answer(workers[2], totals(4, 1)), 1);
    const { sessions, sent, started } = await last;
    // Its sessions have ended with it, its counts remain.
    assertEquals([sessions, sent, started], [4, 18, 9]);
    await supervisor.terminate();
  }));

test("Supervisor.control does not wait for a worker that ends", async () => {
  const { supervisor, workers } = await supervise();
  const asked = supervisor.control.end({});
  answer(workers[0], pages([["1-1", 9]]));
  workers[1].exit({ signal: "SIGKILL" });
  assertEquals(await asked, { ended: 1, missing: 1 });
  await supervisor.terminate();
});

test("Supervisor.control lists and unlocks the clients that are locked out on any worker", async () => {
  const { supervisor, workers } = await supervise({
    args: ["--failed-logins=2"],
  });
  for (const [i, worker] of workers.entries()) {
    const calls = [[i + 1, "failed", ["192.0.2.1"]]] as const;
    worker.send({ type: "calls", calls });
  }
  const { control } = supervisor;
  const [locked] = (await control.lockouts())!;
  assertEquals([locked.client, locked.failed], ["192.0.2.1", 2]);
  assertEquals(await control.unlock("192.0.2.1"), 1);
  assertEquals(await control.lockouts(), []);
  await supervisor.terminate();
});

test(
  "the id of a session means no other one after its worker, a thread, has ended",
  async () => {
    const { start, sharesListener } = await openLauncher();
    const threads: WorkerChannel[] = [];
    const launcher: Launcher = {
      sharesListener,
      start(handlers) {
        const thread = start(handlers);
        threads.push(thread);
        return thread;
      },
    };
    await withEcho(async (target) => {
      const { supervisor, records } = await supervise({ launcher });
      const { control, addr: { port } } = supervisor;
      const list = async () =>
        idsOf(await control.sessions({ sort: "id", limit: 100 }));
      const prefixes = (ids: string[]) => [...new Set(ids.map((it) => it[0]))];
      const proxy = `socks5://${LOOPBACK}:${port}`;
      const conns: Conn[] = [];
      const open = async () => {
        const to = { hostname: LOOPBACK, port: target };
        conns.push(await connect(proxy, to));
      };
      while (prefixes(await list()).length < 2) await open();
      const before = await list();
      threads[0].kill();
      await until(() => records.length === 2);
      while (prefixes(await list()).length < 2) await open();
      const after = await list();
      assertEquals([prefixes(before), prefixes(after)], [["1", "2"], [
        "2",
        "3",
      ]]);
      for (const id of before.filter((it) => it.startsWith("1-"))) {
        assertEquals(await control.end({ id }), { ended: 0 });
      }
      assertEquals(await list(), after);
      assertEquals(await control.end({ id: after.at(-1) }), { ended: 1 });
      for (const it of conns) it.close();
      await supervisor.terminate();
    });
  },
  {
    skip: runtime === "deno"
      ? undefined
      : "workers are processes: see admin_process_test.ts",
  },
);

test("Supervisor.metrics() answers two readers at the same time", () =>
  withClock(async (clock) => {
    const { supervisor, workers } = await supervise({ clock });
    const both = Promise.all([supervisor.metrics(), supervisor.metrics()]);
    await settled();
    for (const worker of workers) {
      assertEquals(worker.lastType, "read-metrics");
      worker.send({ type: "metrics", values: { x_total: 1 } });
    }
    const sums = (await both).map((it) => it.x_total);
    assertEquals(sums, [2, 2]);
    await supervisor.terminate();
  }));
