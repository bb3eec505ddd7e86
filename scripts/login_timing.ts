/**
 * Measures whether the duration of a failed login reveals which users exist. It
 * times 1,000 pairs of a login of a known user and one of an unknown user, in
 * random order, against servers on loopback. The last server is a control: it
 * hashes for known users only, so it must show a difference. The argument is the
 * number of iterations of the hashes; a small one shows a difference best.
 *
 * Run it with `deno run -A`, or as a bundle with Bun or Node.js 24. It prints the
 * quantiles of both, the median difference within the pairs with its 95 %
 * confidence interval, and z of Wilcoxon's signed-rank test: if |z| is below 3,
 * there is no significant difference.
 *
 * @module
 */

import process from "node:process";
import { encodeLogin } from "../src/protocol/password.ts";
import {
  type AuthMethod,
  hashPassword,
  serve,
  userPass,
  Users,
  verifyPassword,
} from "../src/server/mod.ts";
import { detectTransport } from "../src/transport/detect.ts";
import type { Address, Conn } from "../src/transport/transport.ts";

const TRIES = 1_000;
const NO_LOCKOUT = { lockout: 0 };

async function answer(conn: Conn, message: Uint8Array): Promise<void> {
  await conn.write(message);
  await conn.read();
}

/** Returns the milliseconds until the answer to a login. */
async function time(address: Address, username: string): Promise<number> {
  const conn = await (await detectTransport()).connect(address);
  await answer(conn, Uint8Array.of(5, 1, 2));
  const login = encodeLogin({ username, password: crypto.randomUUID() });
  const start = performance.now();
  await answer(conn, login);
  const ms = performance.now() - start;
  conn.close();
  return ms;
}

function quantiles(times: number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  return [0.05, 0.25, 0.5, 0.75, 0.95]
    .map((it) => sorted[Math.floor(it * sorted.length)].toFixed(3)).join("  ");
}

/** Returns the median and its 95 % confidence interval (by the binomial distribution). */
function median(values: number[]): [median: number, low: number, high: number] {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const margin = 0.98 * Math.sqrt(sorted.length);
  const at = (place: number) => sorted[Math.round(place)];
  return [at(middle), at(middle - margin), at(middle + margin)];
}

/**
 * Returns z of Wilcoxon's signed-rank test: how far the rank sum of the positive
 * differences is from its expected value, in standard deviations.
 */
export function wilcoxon(differences: number[]): number {
  const sorted = differences.filter((it) => it !== 0)
    .sort((a, b) => Math.abs(a) - Math.abs(b));
  const count = sorted.length;
  let positive = 0;
  for (let i = 0, end = 0; i < count; i = end) {
    while (end < count && Math.abs(sorted[end]) === Math.abs(sorted[i])) end++;
    const rank = (i + 1 + end) / 2; // equal values share their mean rank
    positive += rank * sorted.slice(i, end).filter((it) => it > 0).length;
  }
  const variance = count * (count + 1) * (2 * count + 1) / 24;
  return (positive - count * (count + 1) / 4) / Math.sqrt(variance);
}

async function measure(name: string, method: AuthMethod): Promise<void> {
  const server = await serve({ port: 0, auth: [method] });
  for (let i = 0; i < 200; i++) await time(server.addr, "warm");
  const known: number[] = [];
  const unknown: number[] = [];
  for (let i = 0; i < TRIES; i++) {
    for (const isKnown of Math.random() < 0.5 ? [true, false] : [false, true]) {
      const ms = await time(server.addr, isKnown ? "alice" : "alicf");
      (isKnown ? known : unknown).push(ms);
    }
  }
  await server.shutdown({ grace: 0 });
  const differences = known.map((it, i) => it - unknown[i]);
  const [middle, low, high] = median(differences)
    .map((ms) => (ms * 1_000).toFixed(1));
  console.log(`\n${name}`);
  console.log(`known    ${quantiles(known)}`);
  console.log(`unknown  ${quantiles(unknown)}`);
  console.log(
    `z = ${wilcoxon(differences).toFixed(2)}, ` +
      `known takes ${middle} µs longer (95 %: ${low} to ${high} µs)`,
  );
}

/**
 * Users of which Alice has a cached login, which must not make a difference
 * either.
 */
async function users(hash: string): Promise<Users> {
  const users = new Users([["alice", hash], ["bob", hash]]);
  const octets = (text: string) => new TextEncoder().encode(text);
  await users.verify({
    username: octets("alice"),
    password: octets("secret"),
  });
  return users;
}

if (import.meta.main) {
  const iterations = Number(process.argv[2] ?? 5_000);
  const hash = await hashPassword("secret", { iterations });
  console.log("milliseconds at 5, 25, 50, 75 and 95 %");
  await measure("hashes", userPass(await users(hash), NO_LOCKOUT));
  await measure(
    "table",
    userPass({ alice: "secret", bob: "secret" }, NO_LOCKOUT),
  );
  await measure(
    "control",
    userPass(
      async (username, password) =>
        username === "alice" && await verifyPassword(password, hash),
      NO_LOCKOUT,
    ),
  );
}
