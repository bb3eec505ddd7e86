/**
 * Several workers that serve one port as one server.
 *
 * @module
 */

import { Lockout } from "../../server/auth/lockout.ts";
import { Coordinator } from "../../server/cluster/coordinator.ts";
import {
  DividedLimits,
  type OneServersLimits,
} from "../../server/cluster/divided_limits.ts";
import {
  countersOf,
  type MetricValues,
  NO_TOTALS,
  sumMetrics,
  sumTotals,
} from "../../server/metrics.ts";
import type { ServerUpdate, ShutdownOptions } from "../../server/server.ts";
import { checkTlsKept } from "../../server/resolve_tls.ts";
import { resolveSettings } from "../../server/settings.ts";
import { type Clock, systemClock } from "../../transport/clock.ts";
import { detectTransport } from "../../transport/detect.ts";
import { localPlace } from "../../transport/local_place.ts";
import type { Timeout } from "../../transport/timeouts.ts";
import type { Address } from "../../transport/transport.ts";
import type {
  CountedUser,
  LazyAccounting,
} from "../accounting/lazy_accounting.ts";
import type { CommandLine } from "../config/flags.ts";
import type { LoadedConfig } from "../config/load.ts";
import type { LogRecord } from "../output/record.ts";
import type { RunningServer } from "../serve/running_server.ts";
import type { ServerControl } from "../serve/control/control.ts";
import type { SharedMachines } from "../serve/shared_limits.ts";
import { countsMetrics } from "../serve/single_server.ts";
import { UsageError } from "../usage_error.ts";
import { Backoff } from "./backoff.ts";
import type { Launcher } from "./channel.ts";
import { workersControl } from "./workers_control.ts";
import { type FileTexts, toData } from "./messages.ts";
import { WorkerHandle } from "./worker_handle.ts";

/** Options of {@linkcode Supervisor.start}. */
export interface SupervisorOptions {
  /** The number of workers. */
  readonly workers: number;
  readonly launcher: Launcher;
  readonly commandLine: CommandLine;
  readonly loaded: LoadedConfig;
  /** Returns the current contents of all files. */
  files(): FileTexts;
  /** Counts what the users of all workers transfer. */
  readonly accounting: LazyAccounting;
  /** Logs the end and the restart of workers. */
  log(record: LogRecord): void;
  /** Counts also for other machines. */
  readonly shared?: SharedMachines;
  /** @default {systemClock} */
  readonly clock?: Clock;
}

/** A worker that has ended, for the one in its place. */
interface EndedWorker {
  readonly number?: number;
  /** Delays workers that end again and again in this place. */
  readonly backoff: Backoff;
}

/** How long workers may take to exit after the grace time, in milliseconds. */
const SHUTDOWN_TIMEOUT = 10_000;
/** How long workers may take to exit immediately, in milliseconds. */
const EXIT_TIMEOUT = 1_000;

/** Starts the workers, restarts those that end, and coordinates their shared limits. */
export class Supervisor implements RunningServer {
  readonly #options: SupervisorOptions;
  readonly #coordinator: Coordinator;
  readonly #clock: Clock;
  readonly #handles = new Map<number, WorkerHandle>();
  /** Those of workers that are about to be replaced. */
  readonly #restarts = new Set<Timeout>();
  #lastNumber = 0;
  #files: FileTexts;
  #auth: LoadedConfig["options"]["auth"];
  #userAttributes: LoadedConfig["options"]["userAttributes"];
  readonly #egressKey = [...crypto.getRandomValues(new Uint8Array(16))];
  #addr: Address | undefined;
  /** The port that workers with a common listening socket have to request. */
  #sharedPort: number | undefined;
  /** The counters of workers that have ended. */
  #retired: MetricValues = {};
  #retiredTotals = NO_TOTALS;
  #exits = 0;
  /** Whether all workers have listened. */
  #hasStarted = false;
  #isClosing = false;

  private constructor(
    options: SupervisorOptions,
    coordinator: Coordinator,
    clock: Clock,
  ) {
    this.#options = options;
    this.#coordinator = coordinator;
    this.#clock = clock;
    this.#files = options.files();
    this.#auth = options.loaded.options.auth;
    this.#userAttributes = options.loaded.options.userAttributes;
  }

  /**
   * Starts all workers. Resolves when all of them are listening.
   *
   * @throws as `serve()` does. No worker is left then.
   */
  static async start(options: SupervisorOptions): Promise<Supervisor> {
    const transport = await detectTransport();
    const { loaded, clock = systemClock } = options;
    const settings = await resolveSettings(loaded.options, transport);
    // SO_REUSEPORT would share the port with another server of the same user,
    // which would then get a part of the clients. Without it, listening fails.
    const listen = settings.listen!; // the program always listens
    const { plainPort = listen.port } = listen;
    if (listen.plainPort === 0) throw noPlainPort();
    if (localPlace(listen.hostname)) throw notShared(listen.hostname);
    for (const port of new Set([listen.port, plainPort])) {
      const where = { ...listen, port };
      const probe = await transport.listen(where, (conn) => conn.close());
      await probe.close();
    }
    const coordinator = new Coordinator(clock);
    coordinator.lockout = new Lockout(loaded.lockout);
    const supervisor = new Supervisor(options, coordinator, clock);
    try {
      await supervisor.#startAll(listen.port);
    } catch (error) {
      supervisor.#stopRestarting();
      await supervisor.#killAll();
      throw error;
    }
    return supervisor;
  }

  /** The address that all workers share. */
  get addr(): Address {
    return this.#addr!;
  }

  /** The address of the listener without TLS that all workers share, if there is one. */
  get plainAddr(): Address | undefined {
    const { plainPort: port } = this.#options.loaded.options;
    return port === undefined ? undefined : { ...this.addr, port };
  }

  /** The number of workers. */
  get workers(): number {
    return this.#options.workers;
  }

  /** The ids of the worker processes; `undefined` for threads. */
  get pids(): readonly number[] | undefined {
    const pids = Array.from(this.#handles.values(), ({ pid }) => pid ?? 0);
    return pids.every((pid) => pid > 0) ? pids : undefined;
  }

  /** Whether at least one worker is listening. */
  get isListening(): boolean {
    return Array.from(this.#handles.values()).some((it) => it.isListening);
  }

  /** The sessions of all workers, and the lockouts. */
  readonly control: ServerControl = workersControl({
    handles: () => [...this.#handles.values()],
    retired: () => this.#retiredTotals,
    lockout: () => this.#options.shared?.store ?? this.#coordinator.lockout,
  });

  /** Reads the metrics of all workers and adds them up. */
  async metrics(): Promise<MetricValues> {
    await Promise.all(
      Array.from(this.#handles.values(), (it) => it.readMetrics()),
    );
    // Not before the replies: a worker may have ended in the meantime.
    const handles = [...this.#handles.values()];
    return {
      ...sumMetrics([this.#retired, ...handles.map((it) => it.lastMetrics)]),
      socks5_workers: handles.filter((it) => it.isListening).length,
      socks5_worker_exits_total: this.#exits,
    };
  }

  /** Lets all workers report what their users have transferred. */
  async reportUsage(): Promise<void> {
    await Promise.all(
      Array.from(this.#handles.values(), (it) => it.reportUsage()),
    );
  }

  /** The totals of all users, of all workers together. */
  userTotals(): Promise<readonly CountedUser[]> {
    return this.#options.accounting.totals(this, this.#userAttributes);
  }

  /** Lets all workers adopt the new configuration. When it rejects, nothing has changed. */
  async update(
    options: ServerUpdate,
    { lockout }: LoadedConfig,
  ): Promise<void> {
    const { hostname, port, plainPort, tls } = this.#options.loaded.options;
    await resolveSettings(
      { ...options, hostname, port, plainPort },
      await detectTransport(),
    );
    checkTlsKept(tls, options.tls);
    this.#files = this.#options.files();
    this.#userAttributes = options.userAttributes;
    if (options.auth !== this.#auth) {
      this.#auth = options.auth;
      this.#coordinator.lockout = new Lockout(lockout);
      this.#options.shared?.store.setLockout(lockout);
    }
    await Promise.all(
      Array.from(this.#handles.values(), (it) => it.update(this.#files)),
    );
  }

  /** Lets all workers prepare to stop. */
  drain(): void {
    for (const it of this.#handles.values()) it.drain();
  }

  /** Lets all workers stop accepting connections. Returns the number of their sessions. */
  async stopAccepting(): Promise<number> {
    this.#stopRestarting();
    const sessions = await Promise.all(
      Array.from(this.#handles.values(), (it) => it.stopAccepting()),
    );
    return sessions.reduce((sum, it) => sum + it, 0);
  }

  /** Lets the workers exit when their sessions have ended. */
  async shutdown(
    { grace }: Required<Pick<ShutdownOptions, "grace">>,
  ): Promise<void> {
    for (const it of this.#handles.values()) it.shutdown(grace);
    await this.#allEnded(grace + SHUTDOWN_TIMEOUT);
  }

  /** Ends the workers without waiting for their sessions. */
  async terminate(): Promise<void> {
    this.#stopRestarting();
    for (const it of this.#handles.values()) it.exit();
    await this.#allEnded(EXIT_TIMEOUT);
  }

  #stopRestarting(): void {
    this.#isClosing = true;
    for (const restart of this.#restarts) restart.cancel();
  }

  async #startAll(port: number): Promise<void> {
    const first = this.#start(port).listening;
    // The others need the port that the system has chosen for the first one.
    if (port === 0) this.#addr = await first;
    const others: Promise<Address>[] = [];
    while (this.#lastNumber < this.workers) {
      others.push(this.#start(this.#addr?.port ?? port).listening);
    }
    this.#addr = await first;
    await Promise.all(others);
    this.#hasStarted = true;
  }

  /**
   * Starts a worker, in place of another one if that has ended. No two workers ever have the
   * same number: it is a part of the ids of sessions, which must not mean others later.
   */
  #start(port: number, ended?: EndedWorker): WorkerHandle {
    const number = ++this.#lastNumber;
    const { workers, launcher, commandLine, loaded, shared } = this.#options;
    const start = {
      type: "start",
      worker: number,
      workers,
      commandLine: toData(commandLine),
      files: this.#files,
      hostname: loaded.options.hostname,
      port: launcher.sharesListener
        ? this.#sharedPort ?? loaded.options.port ?? port
        : port,
      plainPort: loaded.options.plainPort,
      log: loaded.log,
      logStart: loaded.logStart,
      egressKey: this.#egressKey,
      metrics: countsMetrics(loaded),
      accounting: loaded.accounting ?? 0,
      exact: shared?.limits,
    } as const;
    const limits = this.#openLimits();
    const clock = this.#clock;
    const { accounting } = this.#options;
    const handle = new WorkerHandle({
      launcher,
      start,
      limits,
      accounting,
      clock,
    });
    this.#handles.set(number, handle);
    void this.#supervise(handle, ended);
    return handle;
  }

  #openLimits(): OneServersLimits {
    const { shared } = this.#options;
    const here = this.#coordinator.open();
    return shared ? new DividedLimits(here, shared.store, shared.limits) : here;
  }

  /** Waits until the worker ends, and starts its successor. */
  async #supervise(
    handle: WorkerHandle,
    { number: replaces, backoff }: EndedWorker = { backoff: new Backoff() },
  ): Promise<void> {
    const { number, pid } = handle;
    const { log } = this.#options;
    const startedAt = this.#clock.now();
    const failure = await handle.listening.then(
      ({ port }) => this.#hasStarted ? this.#portError(port) : undefined,
      (error: Error) => error,
    );
    if (failure) handle.kill();
    else if (this.#hasStarted) {
      log({ type: "worker-started", worker: number, replaces, pid });
    }
    const exit = await handle.ended;
    this.#handles.delete(number);
    // Their common socket is closed with the last one. A new one for port 0 would get
    // another port.
    if (this.#handles.size === 0) this.#sharedPort = this.#addr?.port;
    this.#retire(handle);
    // A worker that fails during the start of the program ends the program. Later
    // ones are restarted.
    if (this.#isClosing || failure && !this.#hasStarted) return;
    const lasted = this.#clock.now() - startedAt;
    const delay = backoff.next(lasted);
    this.#exits++;
    const error = failure?.message;
    log({
      type: "worker-ended",
      worker: number,
      ...exit,
      ...error && { error },
      delay,
    });
    const restart = () => this.#start(this.addr.port, { number, backoff });
    if (delay === 0) return void restart();
    const timeout = this.#clock.startTimeout(delay, () => {
      this.#restarts.delete(timeout);
      restart();
    });
    this.#restarts.add(timeout);
  }

  #retire({ lastMetrics, lastTotals }: WorkerHandle): void {
    this.#retired = sumMetrics([this.#retired, countersOf(lastMetrics)]);
    const totals = { ...lastTotals, sessions: 0 }; // they have ended with it
    this.#retiredTotals = sumTotals([this.#retiredTotals, totals]);
  }

  /**
   * The error of a worker that does not listen on the port of the others: the last of
   * them ended while it started, and with it their common socket was closed.
   */
  #portError(port: number): Error | undefined {
    const { port: expected } = this.addr;
    if (port === expected) return undefined;
    this.#sharedPort = expected;
    return new Error(`the worker listened on port ${port}, not on ${expected}`);
  }

  async #killAll(): Promise<void> {
    for (const it of this.#handles.values()) it.kill();
    await this.#allEnded();
  }

  /** Waits until all workers have ended, and kills those that are left after the timeout. */
  async #allEnded(timeout = Infinity): Promise<void> {
    const kill = () => void this.#killAll();
    const late = this.#clock.startTimeout(timeout, kill);
    await Promise.all(Array.from(this.#handles.values(), (it) => it.ended));
    late.cancel();
  }
}

function notShared(hostname: string): UsageError {
  return new UsageError(
    `several workers share a TCP port, but not ${hostname}: use --workers 1`,
  );
}

function noPlainPort(): UsageError {
  return new UsageError(
    "--plain-port must not be 0 with several workers, which share the port",
  );
}
