/**
 * The connection to Redis, with a breaker: once a call fails, all others fail at once.
 *
 * @module
 */

import type { Clock } from "../transport/clock.ts";
import type { Timeout } from "../transport/timeouts.ts";
import type { RedisClient } from "./client.ts";
import type { Script } from "./script.ts";
import { SCRIPTS } from "./scripts.ts";

/** The error of calls while Redis is away. */
export class RedisAway extends Error {
  override readonly name = "RedisAway";
}

/** Options of {@linkcode Link}. */
export interface LinkOptions {
  /** Connects. `close` is missing for a client that was made elsewhere. */
  open(): Promise<RedisClient & { close?(): void }>;
  /** How long Redis may take to answer, in milliseconds. */
  readonly timeout: number;
  readonly clock: Clock;
  /** Called when Redis is lost or not found, but once until {@linkcode onFound}. */
  onLost(error: Error): void;
  /** Called when Redis is used. */
  onFound(): void;
  /** Removes secrets from a message. */
  redact(message: string): string;
}

/** A last chance for answers that came while this process was suspended. */
const REPRIEVE = 50;

/** A connection that is lost with the first error or the first answer that is late. */
export class Link {
  readonly #options: LinkOptions;
  readonly #pending = new Set<(error: Error) => void>();
  #client: (RedisClient & { close?(): void }) | undefined;
  #isUp = false;
  #errors = 0;
  /** When the last answer came, or when the first pending call was made. */
  #since = 0;
  #isReprieved = false;
  #watch: Timeout | undefined;
  /** Whether the loss was reported. */
  #isLost = false;
  #isClosed = false;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** Whether Redis is used: it has answered, and everything was declared. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** How often it was lost, or not found. */
  get errors(): number {
    return this.#errors;
  }

  /** Connects, and lets `declare` run scripts before all others may. */
  async connect(declare: () => Promise<void>): Promise<void> {
    try {
      await Promise.all(SCRIPTS.map((it) => it.prepare()));
      const client = await this.#options.open();
      if (this.#isClosed) client.close?.();
      else this.#client = client;
      await declare();
      this.#isUp = this.#client !== undefined;
    } catch (error) {
      throw error instanceof RedisAway ? error : this.#lose(error);
    }
    if (!this.#isUp) throw new RedisAway("the store is closed");
    this.#isLost = false;
    this.#options.onFound();
  }

  /** Runs a script. Rejects if Redis does not answer, now or since an earlier call. */
  run(
    script: Script,
    keys: readonly string[],
    args: readonly string[],
  ): Promise<unknown> {
    const client = this.#client;
    if (!client) return Promise.reject(new RedisAway("Redis does not answer"));
    return new Promise((resolve, reject) => {
      if (this.#pending.size === 0) this.#since = this.#options.clock.now();
      this.#pending.add(reject);
      if (!this.#watch) this.#startWatch(this.#options.timeout);
      script.run(client, keys, args).then((reply) => {
        this.#answered(reject);
        resolve(reply);
      }, (error) => {
        // After a loss, errors of the old connection say nothing about the new one.
        if (this.#pending.has(reject)) reject(this.#lose(error));
      });
    });
  }

  /** Ends the connection. */
  close(): void {
    this.#isClosed = true;
    this.#drop(new RedisAway("the store is closed"));
  }

  #answered(call: (error: Error) => void): void {
    this.#since = this.#options.clock.now();
    this.#isReprieved = false;
    this.#pending.delete(call);
  }

  #startWatch(ms: number): void {
    this.#watch = this.#options.clock.startTimeout(ms, () => {
      this.#watch = undefined;
      this.#check();
    });
  }

  /** One timer for all calls, because answers come in order. */
  #check(): void {
    if (this.#pending.size === 0) return;
    const { clock, timeout } = this.#options;
    const left = this.#since + timeout - clock.now();
    if (left > 0) return this.#startWatch(Math.ceil(left));
    if (this.#isReprieved) {
      this.#lose(new Error(`no answer within ${timeout} ms`));
    } else {
      this.#isReprieved = true;
      this.#startWatch(REPRIEVE);
    }
  }

  #lose(cause: unknown): Error {
    const text = cause instanceof Error ? cause.message : String(cause);
    const error = new RedisAway(this.#options.redact(text), { cause });
    this.#errors++;
    this.#drop(error);
    if (!this.#isLost && !this.#isClosed) {
      this.#isLost = true;
      this.#options.onLost(error);
    }
    return error;
  }

  #drop(error: Error): void {
    this.#isUp = false;
    this.#isReprieved = false;
    this.#watch?.cancel();
    this.#watch = undefined;
    const client = this.#client;
    this.#client = undefined;
    const pending = [...this.#pending];
    this.#pending.clear();
    for (const reject of pending) reject(error);
    try {
      client?.close?.();
    } catch {
      // It has closed itself.
    }
  }
}
