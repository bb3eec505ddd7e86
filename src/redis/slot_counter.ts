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
import {
  type LoginQuestion,
  type Question,
  type SlotsQuestion,
  slotsQuestion,
  writeQuestions,
} from "./questions.ts";
import { BEAT, DECLARE, LEAVE, MOVE } from "./scripts.ts";

/** Releases are sent together after this many milliseconds, or with the next request. */
const BATCH = 5;
/**
 * For how many milliseconds, at most, releases of a slot that Redis has granted may be taken
 * back. Then Redis is asked again: all nodes together may hold more than the limit, after one
 * of them has counted for itself.
 */
const FRESH = 20;
/**
 * After a call for several requests, the next one is made this many milliseconds later at the
 * earliest: load makes calls larger, and not more of them.
 */
const PACE = 4;
/** How often a request is repeated after Redis has forgotten the node. */
const MAX_TRIES = 3;

/** The answer to a question, as `MOVE` returns it, or one of the next two. */
type Answer = number;
/** Redis has forgotten this node. */
const UNKNOWN = -1;
/** Redis does not answer. */
const AWAY = -2;

interface Asked {
  readonly question: Question;
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

/**
 * Counts slots; while Redis is away, only those of this node. Asks about logins in the same
 * calls.
 */
export class SlotCounter {
  readonly #options: SlotCounterOptions;
  readonly #keys: readonly string[];
  readonly #loginKeys: readonly string[];
  readonly #held = new KeyedCount();
  /** Changes that Redis does not know of yet. */
  readonly #changes = new Map<string, number>();
  /** The limits up to which Redis has granted slots lately, and until when that is lately. */
  readonly #granted = new Map<string, number>();
  #grantedUntil = 0;
  /** Slots whose release was taken back since the last batch of releases. */
  readonly #takenBack = new Set<string>();
  #queue: Asked[] = [];
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
    this.#loginKeys = [names.failing, names.failures, names.locked];
  }

  /** Returns `null` if the requests are granted without asking, or else a promise. */
  acquire(
    requests: readonly LimitRequest[],
  ): null | Promise<keyof Limits | null> {
    const [first, ...others] = requests;
    const isTakenBack = others.length === 0 && "max" in first &&
      this.#takeBack(first);
    return isTakenBack ? null : this.#acquire(slotsQuestion(requests));
  }

  async #acquire(question: SlotsQuestion): Promise<keyof Limits | null> {
    const answer = await this.#ask(question);
    if (answer === 0) return null;
    const { slots, rates } = question;
    if (answer === AWAY) return this.#acquireHere(question);
    return [...slots, ...rates][answer - 1].limit;
  }

  /**
   * Resolves with for how many milliseconds the client of a login is locked out, or with
   * `undefined` if Redis is away.
   */
  async checkLogin(question: LoginQuestion): Promise<number | undefined> {
    const answer = await this.#ask(question);
    return answer === AWAY ? undefined : answer;
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
    this.#token = `${lease} ${crypto.randomUUID()}`;
    this.#calls = 0;
    this.#changes.clear();
    this.#granted.clear();
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

  /** Whether a slot was released that Redis still counts, and is now held again. */
  #takeBack(slot: SlotRequest): boolean {
    const { clock, link } = this.#options;
    if (this.#granted.size === 0 || !link.isUp) return false;
    const field = fieldOf(slot);
    // With another limit the answer may be another one.
    if (this.#granted.get(field) !== slot.max) return false;
    if ((this.#changes.get(field) ?? 0) >= 0) return false;
    if (clock.now() >= this.#grantedUntil) return false;
    this.#takenBack.add(field);
    this.#change(field, 1);
    return true;
  }

  /** Asks until Redis knows this node. */
  async #ask(question: Question): Promise<Answer> {
    const { link, node } = this.#options;
    for (let i = 0; i < MAX_TRIES; i++) {
      while (this.#declaring && link.isUp) await this.#declared();
      if (!link.isUp) return AWAY;
      const answer = await new Promise<Answer>((resolve) => {
        const first = this.#queue.push({ question, resolve }) === 1;
        // Questions of one turn of the event loop are sent together.
        if (first) setImmediate(() => this.#send());
      });
      if (answer !== UNKNOWN) return answer;
      await this.declare().catch(() => {});
    }
    throw new Error(`another node has the name ${node}`);
  }

  /** Sends what is in the queue, after the answer to an earlier call: under load, few calls. */
  #send(): void {
    if (this.#queue.length === 0 || this.#inFlight.size > 0) return;
    if (this.#pace) return;
    if (this.#declaring && this.#options.link.isUp) {
      this.#declared().then(() => this.#send());
      return;
    }
    // In the order of the answers.
    const queue = this.#queue.filter(isLogin);
    if (queue.length < this.#queue.length) {
      queue.push(...this.#queue.filter((it) => !isLogin(it)));
    }
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

  /** Sends all changes, and asks. Returns whether Redis knows this node. */
  #move(queue: readonly Asked[]): Promise<boolean> {
    const { link, names, node } = this.#options;
    const args = [names.heldPrefix, node, this.#token];
    args.push(String(this.#changes.size));
    for (const [field, amount] of this.#changes) {
      args.push(field, String(amount));
    }
    this.#changes.clear();
    const keys = [...this.#keys, ...this.#loginKeys];
    writeQuestions(queue.map(({ question }) => question), names, keys, args);
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

  #take(queue: readonly Asked[], answers: readonly number[]): void {
    queue.forEach(({ question, resolve }, i) => {
      if (question.kind === "slots" && answers[i] === 0) this.#hold(question);
      resolve(answers[i]);
    });
  }

  /** Holds slots that Redis has granted. */
  #hold({ slots, fields }: SlotsQuestion): void {
    const now = this.#options.clock.now();
    if (now >= this.#grantedUntil) {
      this.#granted.clear();
      this.#grantedUntil = now + FRESH;
    }
    fields.forEach((field, i) => {
      this.#held.add(field, 1);
      this.#granted.set(field, slots[i].max);
    });
  }

  #acquireHere(
    { slots, fields, rates }: SlotsQuestion,
  ): keyof Limits | null {
    if (this.#options.strict) throw new RedisAway("Redis does not answer");
    const full = slots.find(({ max }, i) =>
      this.#held.countOf(fields[i]) >= max
    );
    if (full) return full.limit;
    for (const it of rates) if (!this.#takeHere(it)) return it.limit;
    // Declared when Redis is back.
    for (const field of fields) this.#change(field, 1);
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
      this.#flushNow();
    });
  }

  /** Sends changes, unless new sessions will soon take them back. */
  #flushNow(): void {
    const isWaiting = [...this.#changes.keys()].every((it) =>
      this.#takenBack.has(it)
    );
    this.#takenBack.clear();
    if (isWaiting) return this.#flushSoon();
    // If Redis is lost or has forgotten this node, everything is declared again.
    this.#move([]).then((isKnown) => isKnown ? undefined : this.declare())
      .catch(() => {});
  }
}

function isLogin({ question }: Asked): boolean {
  return question.kind === "login";
}
