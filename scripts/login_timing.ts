/**
 * Measures whether the time of a failed login tells which users there are: 1,000
 * logins each of a known and of an unknown user, mixed, against a server on
 * loopback. The iterations of the hashes may follow: few show a difference best.
 *
 * Run with `deno run -A`; below 3 of |z| nothing is seen (Mann-Whitney).
 *
 * @module
 */

import { encodeLogin } from "../src/protocol/password.ts";
import {
  type Conn,
  hashPassword,
  serve,
  userPass,
  Users,
} from "../src/server/mod.ts";
import { detectTransport } from "../src/transport/detect.ts";

const TRIES = 1_000;

async function answer(conn: Conn, message: Uint8Array): Promise<void> {
  await conn.write(message);
  await conn.read();
}

/** Milliseconds until the answer to a login. */
async function time(address: Conn["remote"], username: string) {
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

/** How far the ranks of `a` among both are from chance, in standard deviations. */
function mannWhitney(a: number[], b: number[]): number {
  const all = [...a.map((it) => [it, 1]), ...b.map((it) => [it, 0])]
    .sort(([x], [y]) => x - y);
  const ranks = all.reduce((sum, [, isA], i) => sum + isA * (i + 1), 0);
  const u = ranks - a.length * (a.length + 1) / 2;
  const variance = a.length * b.length * (all.length + 1) / 12;
  return (u - a.length * b.length / 2) / Math.sqrt(variance);
}

if (import.meta.main) {
  const iterations = Number(Deno.args[0] ?? 5_000);
  const hash = await hashPassword("secret", { iterations });
  const users = new Users([["alice", hash], ["bob", hash]]);
  const auth = [userPass(users, { lockoutMs: 0 })];
  const server = await serve({ port: 0, auth });
  const octets = (text: string) => new TextEncoder().encode(text);
  // So that Alice has a login that is remembered, which must not show either.
  await users.verify(octets("alice"), octets("secret"));
  for (let i = 0; i < 200; i++) await time(server.addr, "warm");

  const known: number[] = [];
  const unknown: number[] = [];
  for (let i = 0; i < TRIES; i++) {
    for (const isKnown of Math.random() < 0.5 ? [true, false] : [false, true]) {
      const ms = await time(server.addr, isKnown ? "alice" : "alicf");
      (isKnown ? known : unknown).push(ms);
    }
  }
  await server.shutdown({ graceMs: 0 });
  console.log("milliseconds at 5, 25, 50, 75 and 95 %");
  console.log(`known    ${quantiles(known)}`);
  console.log(`unknown  ${quantiles(unknown)}`);
  console.log(`z = ${mannWhitney(known, unknown).toFixed(2)}`);
}
