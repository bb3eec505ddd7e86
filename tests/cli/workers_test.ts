import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { FileReader } from "../../src/cli/config/files.ts";
import { parseFlags } from "../../src/cli/config/flags.ts";
import { load } from "../../src/cli/config/load.ts";
import type { LogRecord } from "../../src/cli/output/format.ts";
import { Supervisor } from "../../src/cli/workers/supervisor.ts";
import type { Exit, WorkerHandlers } from "../../src/cli/workers/channel.ts";
import type { FromWorker, ToWorker } from "../../src/cli/workers/messages.ts";
import { Backoff } from "../../src/cli/workers/backoff.ts";
import { hashPassword } from "../../src/server/auth/auth.ts";
import { NetError } from "../../src/transport/errors.ts";
import { runtime, test } from "../support/harness.ts";
import { withSkips } from "../support/skip_time.ts";
import { settled, until } from "../transport/contract.ts";

type Start = Extract<ToWorker, { type: "start" }>;

/** A worker that does nothing but what a test lets it do. */
class FakeWorker {
  readonly told: ToWorker[] = [];
  /** Whether it does nothing of what it is told. */
  hangs = false;
  readonly #handlers: WorkerHandlers;
  #isOver = false;

  constructor(handlers: WorkerHandlers) {
    this.#handlers = handlers;
  }

  get start(): Start {
    return this.told.find((it) => it.type === "start")!;
  }

  say(message: FromWorker): void {
    this.#handlers.onMessage(message);
  }

  exit(exit: Exit = { code: 0 }): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#handlers.onExit(exit);
  }

  /** Says whether a place of a limit is free for it, as the books say. */
  take(key = ""): boolean {
    const number = this.told.length + 1;
    const wants = [[["sessions", key]]];
    this.say({ type: "calls", calls: [[number, "acquire", wants]] });
    const last = this.told.at(-1)!;
    assert(last.type === "answers");
    return last.answers[0][1] === null;
  }
}

/** How a fake worker begins. */
type Begin = (worker: FakeWorker, start: Start) => void;

const listens: Begin = (worker, { port }) =>
  worker.say({
    type: "listening",
    addr: { hostname: "127.0.0.1", port: port || 4321 },
  });

/** A crew of fake workers. */
async function startCrew(
  args: string[] = [],
  begin: Begin = listens,
): Promise<{ crew: Supervisor; workers: FakeWorker[]; records: LogRecord[] }> {
  const workers: FakeWorker[] = [];
  const records: LogRecord[] = [];
  const command = parseFlags(["--port", "0", ...args]);
  assert(command.type === "serve");
  const { given } = command;
  const files = new FileReader();
  const loaded = await load(given, files.read);
  const crew = await Supervisor.start({
    size: 2,
    given,
    loaded,
    files: () => files.texts,
    note: (record) => records.push(record),
    workshop: {
      portsAreShared: false,
      start(handlers) {
        const worker = new FakeWorker(handlers);
        workers.push(worker);
        queueMicrotask(() => worker.say({ type: "ready" }));
        return {
          pid: workers.length,
          post(message) {
            worker.told.push(message);
            if (worker.hangs) return;
            if (message.type === "start") begin(worker, message);
            if (message.type === "close") {
              worker.say({ type: "closed", sessions: 3 });
            }
            if (message.type === "shutdown" || message.type === "end") {
              worker.exit();
            }
          },
          kill: () => worker.exit({ signal: "SIGKILL" }),
        };
      },
    },
  });
  return { crew, workers, records };
}

test("Crew gives all workers the port that the first one was given", async () => {
  const { crew, workers } = await startCrew();
  assertEquals(crew.addr.port, 4321);
  assertEquals(workers.map(({ start }) => start.port), [0, 4321]);
  assertEquals(workers.map(({ start }) => start.worker), [1, 2]);
  await crew.end();
});

test("Crew.start() rejects with what a worker says, and leaves none", async () => {
  const workers: FakeWorker[] = [];
  const begin: Begin = (worker, start) => {
    workers.push(worker);
    if (start.worker === 1) listens(worker, start);
    else worker.say({ type: "failed", kind: "denied", message: "no" });
  };
  const error = await assertRejects(() => startCrew([], begin), NetError);
  assertEquals([error.kind, error.message], ["denied", "no"]);
  assertEquals(workers.length, 2);
});

test("Crew.start() rejects when a worker ends before it listens", async () => {
  const begin: Begin = (worker) => worker.exit({ code: 7 });
  const error = await assertRejects(() => startCrew([], begin), Error);
  assertMatch(error.message, /worker \d ended: exit code 7/);
});

test("Crew starts a worker again, gives back what it had, and says so", async () => {
  const { crew, workers, records } = await startCrew(["--max-sessions=3"]);
  const [one, other] = workers;
  const taken = [one.take(), one.take(), other.take(), other.take()];
  assertEquals(taken, [true, true, true, false]);
  one.exit({ signal: "SIGSEGV" });
  assertEquals([1, 2, 3].map(() => other.take()), [true, true, false]);
  await until(() => workers.length === 3);
  const [ended] = records;
  assert(ended.type === "worker-ended");
  assertEquals([ended.worker, ended.signal], [1, "SIGSEGV"]);
  await until(() => records.length === 2);
  const { start } = workers[2];
  assertEquals([start.worker, start.port], [1, 4321]);
  assertEquals(records[1], { type: "worker-started", worker: 1, pid: 3 });
  other.say({
    type: "calls",
    calls: [[null, "release", [[["sessions", ""]]]]],
  });
  assertEquals([workers[2].take(), workers[2].take()], [true, false]);
  await crew.end();
});

test("Crew says why a worker cannot start again, and tries on", async () => {
  let count = 0;
  const begin: Begin = (worker, start) => {
    if (++count === 3) worker.say({ type: "failed", message: "broken" });
    else listens(worker, start);
  };
  const { crew, workers, records } = await startCrew([], begin);
  workers[1].exit({ code: 1 });
  await until(() => records.some(({ type }) => type === "worker-started"));
  assertEquals(workers.length, 4);
  const errors = records.map((it) =>
    it.type === "worker-ended" ? it.error : it.type
  );
  assertEquals(errors, [undefined, "broken", "worker-started"]);
  await crew.end();
});

test("Crew counts the sessions of all workers at the end, and starts none again", async () => {
  const { crew, workers, records } = await startCrew();
  workers[0].exit({ code: 1 });
  await until(() => records.length === 1);
  assertEquals(await crew.closeDoor(), 3);
  await crew.shutdown({ grace: 5 });
  assertEquals(workers.length, 2);
  assertEquals(workers[1].told.at(-1), { type: "shutdown", grace: 5 });
});

test("Crew tells a worker that is about to start when it has started", async () => {
  let count = 0;
  const { crew, workers, records } = await startCrew([], (worker, start) => {
    if (++count < 3) listens(worker, start);
  });
  workers[0].exit({ code: 1 });
  await until(() => workers[2]?.told.length === 1);
  const closed = crew.closeDoor();
  assertEquals(workers[2].told.length, 1);
  listens(workers[2], workers[2].start);
  assertEquals(await closed, 6);
  await crew.shutdown({ grace: 0 });
  assertEquals(records.length, 2);
});

test("Crew.update() changes nothing when the options are wrong", async () => {
  const { crew, workers } = await startCrew();
  const command = parseFlags([]);
  assert(command.type === "serve");
  const loaded = await load(command.given, new FileReader().read);
  const limits = { sessions: -1 };
  await assertRejects(() => crew.update({ limits }, loaded), TypeError);
  for (const { told } of workers) {
    assertEquals(told.map(({ type }) => type), ["start"]);
  }
  await crew.end();
});

test("Crew starts a worker again where the server listens, whatever the files say by then", async () => {
  const args = ["--hostname", "::1", "--log", "json"];
  const { crew, workers } = await startCrew(args);
  workers[0].exit({ code: 1 });
  await until(() => workers.length === 3);
  const starts = workers.map(({ start: { hostname, log } }) => [hostname, log]);
  assertEquals(starts, [["::1", "json"], ["::1", "json"], ["::1", "json"]]);
  await crew.end();
});

test("Crew does not wait for a worker that hangs, and ends it", () =>
  withSkips(async (skip) => {
    const { crew, workers, records } = await startCrew();
    const [one, other] = workers;
    one.hangs = true;
    const command = parseFlags([]);
    assert(command.type === "serve");
    const loaded = await load(command.given, new FileReader().read);
    const updated = crew.update({}, loaded);
    await until(() => other.told.some(({ type }) => type === "update"));
    other.say({ type: "updated" });
    await settled();
    skip(61_000);
    await updated;
    await until(() => workers.length === 3);
    assertEquals(records[0].type, "worker-ended");

    workers[2].hangs = true;
    const closed = crew.closeDoor();
    await settled();
    skip(2_000);
    assertEquals(await closed, 3);
    const over = crew.shutdown({ grace: 5_000 });
    await until(() => workers[2].told.at(-1)?.type === "shutdown");
    skip(20_000);
    await over;
  }));

test("Crew.metrics() adds up what workers tell, and keeps what they told last", async () => {
  const { crew, workers } = await startCrew();
  const [one, other] = workers;
  const told = (total: number, open: number) => ({
    type: "metrics" as const,
    values: { x_total: total, open },
  });
  const metrics = crew.metrics();
  one.say(told(2, 1));
  other.say(told(3, 1));
  const listen = { socks5_workers: 2, socks5_worker_ends_total: 0 };
  assertEquals(await metrics, { x_total: 5, open: 2, ...listen });
  const later = crew.metrics();
  one.say(told(4, 0));
  // The other one hangs.
  assertEquals(await later, { x_total: 7, open: 1, ...listen });
  other.say(told(9, 0)); // too late for that time, and in time for the next
  other.exit({ signal: "SIGKILL" });
  const last = crew.metrics();
  one.say(told(5, 0));
  const { x_total, open } = await last;
  assertEquals({ x_total, open }, { x_total: 14, open: 0 });
  await crew.end();
});

test("Rest.after() grows while workers do not last, and begins anew then", () => {
  const rest = new Backoff();
  const rests = [5, 5, 5, 5, 5, 5, 5, 20_000, 5].map((it) => rest.after(it));
  assertEquals(
    rests,
    [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 0, 1_000],
  );
});

test("a thread that fails ends alone, and tells why", async () => {
  const { threads } = await import("../../src/cli/workers/threads.ts");
  const hash = await hashPassword("one", { iterations: 1 });
  let onListening!: () => void;
  const listening = new Promise<void>((resolve) => onListening = resolve);
  const exit = await new Promise<Exit>((onExit) => {
    const thread = threads.start({
      onMessage(message) {
        if (message.type === "listening") onListening();
        if (message.type === "failed") onExit({ error: message.message });
        if (message.type !== "ready") return;
        const given = { config: { usersFile: ["users"] }, logins: [] };
        const files = [["users", `alice:${hash}`]] as const;
        const who = { worker: 1, workers: 2, hostname: undefined, port: 0 };
        const log = { log: "off", metrics: false } as const;
        thread.post({ type: "start", ...who, ...log, given, files });
      },
      onExit,
    });
    // Without the file that it is configured to read it cannot go on.
    listening.then(() => thread.post({ type: "update", files: [] }));
  });
  assertMatch(exit.error ?? "", /users: was not read/);
}, {
  skip: runtime === "deno" ? undefined : "only Deno's workers are threads",
});
