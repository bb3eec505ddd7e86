/** Handshakes without I/O on random input. */

import { assert, assertEquals } from "@std/assert";
import {
  ClientHandshake,
  parseHops,
  SocksError,
} from "../../src/client/mod.ts";
import { runtime, test } from "../support/harness.ts";
import { random } from "../support/table.ts";
import { answersOf, dialogues, TARGET } from "./dialogues.ts";

/** Creating errors takes long on Deno. */
const INPUTS = runtime === "deno" ? 250_000 : 1_000_000;
const CODES = ["protocol", "no-method", "login-failed", "rejected"];

const seeds = dialogues.map((dialogue) => ({
  proxy: parseHops(dialogue.proxy)[0],
  options: dialogue.options,
  answers: answersOf(dialogue),
}));
type Seed = (typeof seeds)[number];
const [chap] = seeds.filter(({ options }) => options);
const others = seeds.filter((it) => it !== chap);

/** Changes some octets, removes or repeats a part, or appends octets. */
function mutate(message: Uint8Array, next: (n: number) => number): Uint8Array {
  const at = next(message.length);
  const end = next(4) === 0 ? at + next(message.length - at) : message.length;
  const extra = next(4) === 0 ? next(40) : 0;
  const result = new Uint8Array(end + extra);
  result.set(message.subarray(0, end));
  for (let i = end; i < result.length; i++) result[i] = message[(at + i) % end];
  for (let edits = next(3); edits > 0 && result.length > 0; edits--) {
    result[next(result.length)] = [next(256), next(8), 0xff][next(3)];
  }
  return result;
}

/** Feeds chunks of these sizes, the last size again and again; returns the outcome. */
function outcome({ proxy, options }: Seed, input: Uint8Array, size: number) {
  const handshake = new ClientHandshake(proxy, TARGET, options);
  handshake.start();
  let at = 0;
  try {
    while (at < input.length && !handshake.done) {
      handshake.feed(input.subarray(at, at += size));
    }
  } catch (error) {
    if (error instanceof SocksError && CODES.includes(error.code)) {
      return error.code;
    }
    throw error;
  }
  if (!handshake.done) return handshake.phase;
  const rest = handshake.rest.length + Math.max(0, input.length - at);
  return `${handshake.bound.hostname} ${handshake.bound.port} ${rest}`;
}

test(
  `ClientHandshake has the same outcome on random inputs, however they are split`,
  () => {
    // Stacks of errors take most of the time otherwise.
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    try {
      fuzz();
    } finally {
      Error.stackTraceLimit = limit;
    }
  },
  { timeout: 300_000 },
);

function fuzz(): void {
  const next = random(17);
  const seen = new Map<string, number>();
  for (let i = 0; i < INPUTS; i++) {
    // HMACs take long; the others are as frequent as each other.
    const seed = i % 32 === 0 ? chap : others[i % others.length];
    const input = mutate(seed.answers, next);
    const whole = outcome(seed, input, Math.max(1, input.length));
    const kind = /\d/.test(whole) ? "done" : whole;
    seen.set(kind, (seen.get(kind) ?? 0) + 1);
    if (next(16) > 0) continue;
    for (const size of [1, 1 + next(5)]) {
      const split = outcome(seed, input, size);
      if (split !== whole) {
        assertEquals(split, whole, `${seed.proxy.protocol} ${input}`);
      }
    }
  }
  for (const kind of [...CODES, "done", "method", "auth", "request"]) {
    assert((seen.get(kind) ?? 0) > 20, `${kind}: ${seen.get(kind)}`);
  }
}
