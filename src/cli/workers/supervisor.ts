/**
 * Several workers that serve one port as one server.
 *
 * @module
 */

import { Lockout } from "../../server/auth/lockout.ts";
import { Coordinator } from "../../server/cluster/coordinator.ts";
import {
  countersOf,
  type MetricValues,
  sumMetrics,
} from "../../server/metrics.ts";
import { resolveSettings } from "../../server/settings.ts";
import type { ServerUpdate } from "../../server/serve.ts";
import { detectTransport } from "../../transport/detect.ts";
import { startTimeout, type Timeout } from "../../transport/timeouts.ts";
import type { Address } from "../../transport/transport.ts";
import type { Given } from "../config/flags.ts";
import type { Loaded } from "../config/load.ts";
import type { LogRecord } from "../output/format.ts";
import type { Running } from "../serve/running.ts";
import type { Launcher } from "./channel.ts";
import { WorkerHandle } from "./worker_handle.ts";
import { type FileTexts, toData } from "./messages.ts";
import { Backoff } from "./backoff.ts";

/** What a {@linkcode Supervisor} is made of. */
export interface CrewOptions {
  /** How many workers. */
  readonly size: number;
  readonly workshop: Launcher;
  readonly given: Given;
  readonly loaded: Loaded;
  /** The texts of all files, as they were read last. */
  files(): FileTexts;
  /** Told of workers that end and start again. */
  note(record: LogRecord): void;
}

/** Milliseconds that a worker may take to end when its time is over, and when there is no time at all. */
const PATIENCE = 10_000;
const HURRY = 1_000;

/** Keeps its workers running, and the books that they share. */
export class Supervisor implements Running {
  readonly #options: CrewOptions;
  readonly #coordinator: Coordinator;
  readonly #members = new Map<number, WorkerHandle>();
  readonly #rests = new Map<number, Backoff>();
  readonly #restarts = new Map<number, Timeout>();
  #files: FileTexts;
  #auth: Loaded["options"]["auth"];
  #addr: Address | undefined;
  /** What those have counted that are gone. */
  #retired: MetricValues = {};
  #ends = 0;
  /** Whether all of them have listened. */
  #listens = false;
  #isClosing = false;

  private constructor(options: CrewOptions, ledger: Coordinator) {
    this.#options = options;
    this.#coordinator = ledger;
    this.#files = options.files();
    this.#auth = options.loaded.options.auth;
  }

  /**
   * Starts all workers; settles when all listen.
   *
   * @throws as `serve()` does; then there is no worker left.
   */
  static async start(options: CrewOptions): Promise<Supervisor> {
    const transport = await detectTransport();
    const { loaded, size } = options;
    const settings = await resolveSettings(loaded.options, transport);
    // Of the same user somebody else may share the port, and would take a part of the clients.
    const listen = settings.listen!; // the program always does
    const probe = await transport.listen(listen, (conn) => conn.close());
    await probe.close();
    const ledger = new Coordinator(settings.limits, size);
    ledger.lockout = new Lockout(loaded.lockout);
    const crew = new Supervisor(options, ledger);
    try {
      await crew.#startAll(listen.port);
    } catch (error) {
      crew.#isClosing = true;
      await crew.#killAll();
      throw error;
    }
    return crew;
  }

  /** Where all of them listen. */
  get addr(): Address {
    return this.#addr!;
  }

  /** How many there are. */
  get workers(): number {
    return this.#options.size;
  }

  /** The ids of their processes; `undefined` of threads. */
  get pids(): readonly number[] | undefined {
    const pids = Array.from(this.#members.values(), ({ pid }) => pid ?? 0);
    return pids.every((pid) => pid > 0) ? pids : undefined;
  }

  /** Whether anybody can come in. */
  get isListening(): boolean {
    return Array.from(this.#members.values()).some((it) => it.isListening);
  }

  /** What all of them tell together. */
  async metrics(): Promise<MetricValues> {
    await Promise.all(
      Array.from(this.#members.values(), (it) => it.readMetrics()),
    );
    // Only now: one that was asked may have ended meanwhile.
    const members = [...this.#members.values()];
    return {
      ...sumMetrics([this.#retired, ...members.map((it) => it.lastMetrics)]),
      socks5_workers: members.filter((it) => it.isListening).length,
      socks5_worker_ends_total: this.#ends,
    };
  }

  /** Lets all of them serve by what was loaded last; when it rejects, all stays as it was. */
  async update(options: ServerUpdate, { lockout }: Loaded): Promise<void> {
    const { hostname, port } = this.#options.loaded.options;
    const { limits } = await resolveSettings(
      { ...options, hostname, port },
      await detectTransport(),
    );
    this.#files = this.#options.files();
    this.#coordinator.limits = limits;
    if (options.auth !== this.#auth) {
      this.#auth = options.auth;
      this.#coordinator.lockout = new Lockout(lockout);
    }
    await Promise.all(
      Array.from(this.#members.values(), (it) => it.update(this.#files)),
    );
  }

  /** Lets no more clients in; gives how many sessions are open. */
  async closeDoor(): Promise<number> {
    this.#startNoMore();
    const sessions = await Promise.all(
      Array.from(this.#members.values(), (it) => it.close()),
    );
    return sessions.reduce((sum, it) => sum + it, 0);
  }

  /** Lets the sessions end, and the workers with them. */
  async shutdown(
    { grace }: { readonly grace: number },
  ): Promise<void> {
    for (const it of this.#members.values()) it.shutdown(grace);
    await this.#allEnded(grace + PATIENCE);
  }

  /** Ends the workers now. */
  async end(): Promise<void> {
    this.#startNoMore();
    for (const it of this.#members.values()) it.end();
    await this.#allEnded(HURRY);
  }

  #startNoMore(): void {
    this.#isClosing = true;
    for (const restart of this.#restarts.values()) restart.cancel();
  }

  async #startAll(port: number): Promise<void> {
    const { size } = this.#options;
    const first = this.#start(1, port).listening;
    // All others get the port that the first one was given.
    if (port === 0) this.#addr = await first;
    const others: Promise<Address>[] = [];
    for (let number = 2; number <= size; number++) {
      others.push(this.#start(number, this.#addr?.port ?? port).listening);
    }
    this.#addr = await first;
    await Promise.all(others);
    this.#listens = true;
  }

  #start(number: number, port: number): WorkerHandle {
    const { size, workshop, given, loaded } = this.#options;
    const start = {
      type: "start",
      worker: number,
      workers: size,
      given: toData(given),
      files: this.#files,
      hostname: loaded.options.hostname,
      port: workshop.portsAreShared ? loaded.options.port ?? port : port,
      log: loaded.log,
      metrics: loaded.metrics !== undefined,
    } as const;
    const member = new WorkerHandle(workshop, start, this.#coordinator.open());
    this.#members.set(number, member);
    void this.#watch(member);
    return member;
  }

  /** Puts another one in its place when it ends. */
  async #watch(member: WorkerHandle): Promise<void> {
    const { number } = member;
    const startedAt = performance.now();
    const failure = await member.listening.then(() => undefined, (it) => it);
    if (failure === undefined && this.#listens) {
      const { pid } = member;
      this.#options.note({ type: "worker-started", worker: number, pid });
    }
    const exit = await member.ended;
    this.#members.delete(number);
    this.#retired = sumMetrics([this.#retired, countersOf(member.lastMetrics)]);
    // One that cannot even begin ends the program, and a later one does not.
    if (this.#isClosing || failure && !this.#listens) return;
    const delay = this.#rest(number).after(performance.now() - startedAt);
    this.#ends++;
    const error = failure?.message;
    this.#options.note({
      type: "worker-ended",
      worker: number,
      ...exit,
      ...error && { error },
      delay,
    });
    const restart = () => void this.#start(number, this.addr.port);
    if (delay > 0) this.#restarts.set(number, startTimeout(delay, restart));
    else restart();
  }

  #rest(number: number): Backoff {
    let rest = this.#rests.get(number);
    if (!rest) this.#rests.set(number, rest = new Backoff());
    return rest;
  }

  async #killAll(): Promise<void> {
    for (const it of this.#members.values()) it.kill();
    await this.#allEnded();
  }

  /** Settles when there is no worker any more; those that last longer are killed. */
  async #allEnded(ms = Infinity): Promise<void> {
    const late = startTimeout(ms, () => void this.#killAll());
    await Promise.all(Array.from(this.#members.values(), (it) => it.ended));
    late.cancel();
  }
}
