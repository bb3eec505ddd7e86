/**
 * The slots that this node holds, counted in Redis together with those of other nodes.
 *
 * @module
 */

import type { Clock } from "../transport/clock.ts";
import type { Timeout } from "../transport/timeouts.ts";
import type {
  LimitRequest,
  LimitSlot,
  RateRequest,
  SlotRequest,
} from "../server/cluster/store.ts";
import type { Limits } from "../server/limits/limits.ts";
import { KeyedCount } from "../server/limits/keyed_limit.ts";
import { KeyedRateLimit } from "../server/limits/keyed_rate_limit.ts";
import { type Link, RedisAway } from "./link.ts";
import { fieldOf, type KeyNames } from "./names.ts";
import { BEAT, DECLARE, LEAVE, MOVE } from "./scripts.ts";

/** Releases are sent together after this many milliseconds, or with the next request. */
const BATCH = 5;
/**
 * After a call for several requests, the next one is made this many milliseconds later at the
 * earliest: load makes calls larger, and not more of them.
 */
const PACE = 4;
/** How often a request is repeated after Redis has forgotten the node. */
const MAX_TRIES = 3;

/** The answer to a request: 0, or the number of what is not granted, or one of the next two. */
type Answer = number;
/** Redis has forgotten this node. */
const UNKNOWN = -1;
/** Redis does not answer. */
const AWAY = -2;

interface Queued {
  readonly slots: readonly SlotRequest[];
  readonly rates: readonly RateRequest[];
  readonly resolve: (answer: Answer) => void;
}

/** The parts that a {@linkcode SlotCounter} needs. */
export interface SlotCounterOptions {
  readonly link: Link;
  readonly names: KeyNames;
  readonly node: string;
  /** In milliseconds. */
  readonly lease: number;
  /** Whether requests are refused while Redis is away. */
  readonly strict: boolean;
  readonly clock: Clock;
}

/** What a heartbeat returns. */
export interface LockoutNews {
  /** The time of Redis. */
  readonly now: number;
  /** Clients and the ends of their lockouts, in turn. */
  readonly locked: readonly string[];
  /** How often lockouts were ended early. */
  readonly unlocks: string;
}

/** Counts slots; while Redis is away, only those of this node. */
export class SlotCounter {
  readonly #options: SlotCounterOptions;
  readonly #keys: readonly string[];
  readonly #held = new KeyedCount();
  /** Changes that Redis does not know of yet. */
  readonly #changes = new Map<string, number>();
  #queue: Queued[] = [];
  readonly #inFlight = new Set<Promise<unknown>>();
  readonly #rates = new Map<string, KeyedRateLimit>();
  #flush: Timeout | undefined;
  #pace: Timeout | undefined;
  #declaring: Promise<void> | undefined;
  /** Identifies the last declaration: calls that were made before it have no effect. */
  #token = "";
  /** Calls since the last declaration. */
  #calls = 0;

  constructor(options: SlotCounterOptions) {
    this.#options = options;
    const { names, node } = options;
    this.#keys = [names.totals, names.nodes, names.heldPrefix + node];
  }

  async acquire(
    requests: readonly LimitRequest[],
  ): Promise<keyof Limits | null> {
    const { link } = this.#options;
    for (let i = 0; i < MAX_TRIES; i++) {
      while (this.#declaring && link.isUp) await this.#declared();
      if (!link.isUp) return this.#acquireHere(requests);
      const answer = await this.#ask(requests);
      if (answer !== "unknown") return answer;
    }
    throw new Error(`another node has the name ${this.#options.node}`);
  }

  release(slot: LimitSlot): void {
    const field = fieldOf(slot);
    // One that is not held may not be released at the cost of others.
    if (this.#held.countOf(field) > 0) this.#change(field, -1);
  }

  forceAcquire(slot: LimitSlot, count: number): void {
    this.#change(fieldOf(slot), count);
  }

  /** Extends the lease. Returns the clients that were locked out after `since`. */
  async beat(since: string): Promise<LockoutNews | undefined> {
    const { link, names, node, lease } = this.#options;
    await this.#declaring;
    const args = [names.heldPrefix, node, this.#token, String(this.#calls)];
    const keys = [...this.#keys, names.locked, names.unlocks];
    const reply = await link.run(BEAT, keys, [...args, String(lease), since]);
    const [isKnown, now, locked, unlocks] = reply as [
      number,
      number,
      string[],
      string,
    ];
    if (isKnown === 1) return { now, locked, unlocks };
    await this.declare();
    return undefined;
  }

  /** Makes Redis count exactly what this node holds. */
  declare(): Promise<void> {
    return this.#declaring ??= this.#declare().finally(() => {
      this.#declaring = undefined;
    });
  }

  /** Releases everything. */
  async leave(): Promise<void> {
    this.#flush?.cancel();
    this.#pace?.cancel();
    this.#pace = undefined;
    this.#send();
    const { link, node } = this.#options;
    if (link.isUp) await link.run(LEAVE, this.#keys, [node, this.#token]);
  }

  async #declare(): Promise<void> {
    const { link, names, node, lease } = this.#options;
    // Their slots are either held then, or not granted.
    await Promise.allSettled(this.#inFlight);
    this.#token = crypto.randomUUID();
    this.#calls = 0;
    this.#changes.clear();
    const held = this.#held.entries().flatMap((
      [field, count],
    ) => [field, String(count)]);
    const args = [names.heldPrefix, node, this.#token, String(lease), ...held];
    await link.run(DECLARE, this.#keys, args);
    this.#flushSoon();
  }

  #declared(): Promise<void> {
    return this.#declaring!.catch(() => {});
  }

  /** Returns `unknown` if Redis did not know this node; it does afterwards. */
  async #ask(
    requests: readonly LimitRequest[],
  ): Promise<keyof Limits | null | "unknown"> {
    const slots = requests.filter((it) => "max" in it);
    const rates = requests.filter((it) => "perSecond" in it);
    const answer = await new Promise<Answer>((resolve) => {
      const first = this.#queue.push({ slots, rates, resolve }) === 1;
      // Requests of one turn of the event loop are sent together.
      if (first) setImmediate(() => this.#send());
    });
    if (answer === 0) return null;
    if (answer === AWAY) return this.#acquireHere(requests);
    if (answer !== UNKNOWN) return [...slots, ...rates][answer - 1].limit;
    await this.declare().catch(() => {});
    return "unknown";
  }

  /** Sends what is in the queue, after the answer to an earlier call: under load, few calls. */
  #send(): void {
    if (this.#queue.length === 0 || this.#inFlight.size > 0) return;
    if (this.#pace) return;
    if (this.#declaring && this.#options.link.isUp) {
      this.#declared().then(() => this.#send());
      return;
    }
    const queue = this.#queue;
    this.#queue = [];
    const answerAll = (answer: Answer) => {
      for (const { resolve } of queue) resolve(answer);
    };
    if (!this.#options.link.isUp) return answerAll(AWAY);
    if (queue.length > 1) this.#startPace();
    this.#move(queue).then((isKnown) => {
      if (!isKnown) answerAll(UNKNOWN);
    }, () => answerAll(AWAY));
  }

  #startPace(): void {
    this.#pace = this.#options.clock.startTimeout(PACE, () => {
      this.#pace = undefined;
      this.#send();
    });
  }

  /** Sends all changes, and asks for slots and rates. Returns whether Redis knows this node. */
  #move(queue: readonly Queued[]): Promise<boolean> {
    const { link, names, node } = this.#options;
    const args = [names.heldPrefix, node, this.#token];
    args.push(String(this.#changes.size));
    for (const [field, amount] of this.#changes) {
      args.push(field, String(amount));
    }
    this.#changes.clear();
    args.push(String(queue.length));
    const keys = [...this.#keys];
    for (const { slots, rates } of queue) {
      args.push(String(slots.length));
      for (const it of slots) args.push(fieldOf(it), limitText(it.max));
      args.push(String(rates.length));
      for (const it of rates) {
        const each = 1_000 / it.perSecond;
        const all = each * Math.max(10, 2 * it.perSecond);
        args.push(String(each), String(all));
        keys.push(names.rate(it));
      }
    }
    this.#calls++;
    const asked = link.run(MOVE, keys, args).then((reply) => {
      if (reply === null) return false;
      this.#take(queue, reply as readonly number[]);
      return true;
    });
    this.#inFlight.add(asked);
    const forget = () => {
      this.#inFlight.delete(asked);
      this.#send();
    };
    asked.then(forget, forget);
    return asked;
  }

  #take(queue: readonly Queued[], answers: readonly number[]): void {
    queue.forEach(({ slots, resolve }, i) => {
      const answer = answers[i];
      if (answer === 0) {
        for (const it of slots) this.#held.add(fieldOf(it), 1);
      }
      resolve(answer);
    });
  }

  #acquireHere(requests: readonly LimitRequest[]): keyof Limits | null {
    if (this.#options.strict) throw new RedisAway("Redis does not answer");
    const slots = requests.filter((it) => "max" in it);
    const full = slots.find((it) => this.#held.countOf(fieldOf(it)) >= it.max);
    if (full) return full.limit;
    for (const it of requests) {
      if ("perSecond" in it && !this.#takeHere(it)) return it.limit;
    }
    // Declared when Redis is back.
    for (const it of slots) this.#change(fieldOf(it), 1);
    return null;
  }

  #takeHere({ limit, key, perSecond }: RateRequest): boolean {
    let rate = this.#rates.get(limit);
    if (!rate) this.#rates.set(limit, rate = new KeyedRateLimit(perSecond));
    if (rate.perSecond !== perSecond) rate.perSecond = perSecond;
    return rate.take(key, this.#options.clock.now());
  }

  #change(field: string, amount: number): void {
    this.#held.add(field, amount);
    const sum = (this.#changes.get(field) ?? 0) + amount;
    if (sum === 0) this.#changes.delete(field);
    else this.#changes.set(field, sum);
    this.#flushSoon();
  }

  #flushSoon(): void {
    const { clock } = this.#options;
    if (this.#flush || this.#changes.size === 0) return;
    this.#flush = clock.startTimeout(BATCH, () => {
      this.#flush = undefined;
      if (!this.#options.link.isUp || this.#declaring) return;
      if (this.#changes.size === 0) return;
      // If Redis is lost or has forgotten this node, everything is declared again.
      this.#move([]).then((isKnown) => isKnown ? undefined : this.declare())
        .catch(() => {});
    });
  }
}

/** A limit for Lua, which compares numbers. */
function limitText(max: number): string {
  return max === Infinity ? "1e308" : String(max);
}
