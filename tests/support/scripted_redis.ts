/**
 * A client of Redis whose answers the test gives, and a store that uses it.
 *
 * @module
 */

import type { RedisClient } from "../../src/redis/client.ts";
import type { RedisStoreOptions } from "../../src/redis/options.ts";
import { type RedisStore, redisStore } from "../../src/redis/redis_store.ts";
import * as scripts from "../../src/redis/scripts.ts";
import { FakeClock } from "./fake_clock.ts";

/** The name of a script. */
export type ScriptName = Exclude<keyof typeof scripts, "SCRIPTS">;

/** A script that was to be executed. */
export interface Call {
  readonly name: ScriptName;
  readonly keys: readonly string[];
  readonly args: readonly string[];
}

const NAMES = Object.keys(scripts).filter((it) =>
  it !== "SCRIPTS"
) as ScriptName[];

/** The answers of an empty Redis. */
const ANSWERS: Readonly<Record<ScriptName, unknown>> = {
  MOVE: 0,
  DECLARE: 0,
  LEAVE: 0,
  BEAT: [1, 1_000_000, [], "0"],
  FAILED: [1, 0, 0],
  LOCKED: [0, []],
  UNLOCK: 0,
  BORROW: 0,
  REPORT: [],
  FENCE: "0",
};

/** Records calls, and answers as the test says. */
export class ScriptedRedis implements RedisClient {
  readonly calls: Call[] = [];
  /** The answer to a call; by default that of an empty Redis. Of MOVE that to each question. */
  answer: (call: Call) => unknown = ({ name }) => ANSWERS[name];

  async send(command: string, args: string[]): Promise<unknown> {
    if (command !== "EVALSHA") throw new Error(`ERR ${command}`);
    const [hash, count, ...rest] = args;
    const name = NAMES.find((it) => scripts[it].hash === hash)!;
    const call = {
      name,
      keys: rest.slice(0, Number(count)),
      args: rest.slice(Number(count)),
    };
    this.calls.push(call);
    const answer = await this.answer(call);
    if (name !== "MOVE") return answer;
    return answer === -1 ? null : Array.from({ length: 9 }, () => answer);
  }

  /** The calls of a script. */
  of(name: ScriptName): Call[] {
    return this.calls.filter((it) => it.name === name);
  }

  /** The clients of the logins that were checked, each with how long it may be trusted. */
  logins(): (readonly string[])[] {
    return this.of("MOVE").flatMap(({ args }) => {
      const at = 4 + 2 * Number(args[3]);
      const logins = args.slice(at + 1, at + 1 + 2 * Number(args[at]));
      return logins.flatMap((it, i) => i % 2 ? [] : [[it, logins[i + 1]]]);
    });
  }

  /** Lets all calls hang, but those that `passes` accepts. */
  hang(passes: (call: Call) => boolean = () => false): void {
    this.answer = (call) =>
      passes(call) ? ANSWERS[call.name] : new Promise(() => {});
  }

  /** Answers as an empty Redis again. */
  recover(): void {
    this.answer = ({ name }) => ANSWERS[name];
  }
}

/** A store, its Redis, and the time. */
export interface ScriptedStore {
  readonly store: RedisStore;
  readonly redis: ScriptedRedis;
  readonly clock: FakeClock;
  /** The losses and finds that were reported. */
  readonly changes: string[];
}

/** Runs `use` with a store that has found Redis, and fails if it leaves a timer. */
export async function withStore(
  options: Partial<RedisStoreOptions>,
  use: (it: ScriptedStore) => Promise<void>,
): Promise<void> {
  const redis = new ScriptedRedis();
  const clock = new FakeClock();
  const changes: string[] = [];
  const store = redisStore({
    client: redis,
    clock,
    node: "here",
    lease: 3_000,
    onLost: ({ message }) => changes.push(`lost: ${message}`),
    onFound: () => changes.push("found"),
    ...options,
  });
  await store.ready.catch(() => {});
  await settle();
  try {
    await use({ store, redis, clock, changes });
  } finally {
    redis.recover();
    await store.close();
  }
  if (clock.timers > 0) throw new Error(`${clock.timers} timers are left`);
}

/** Lets promises settle. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) {
    await new Promise<void>((resolve) => setImmediate(() => resolve()));
    for (let j = 0; j < 60; j++) await undefined;
  }
}
