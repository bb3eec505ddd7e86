/** Errors of connections that a route prevents, in a network namespace of their own. */

import { ECHOED, type Findings, SILENT, TARGETS } from "./routes_program.ts";
import { assert, assertEquals } from "@std/assert";
import { runtime, test } from "../support/harness.ts";
import { missingForRoot, programCommand, run } from "./programs.ts";

/**
 * An interface whose other end does not answer. It is a veth because every kernel with
 * namespaces has veth, but not dummy.
 */
const NETWORK = `
ip link set lo up &&
ip link add near type veth peer name far &&
ip link set far up &&
ip link set near up &&
ip address add 10.4.0.1/16 dev near &&
ip neighbour add ${SILENT} lladdr 02:00:00:00:00:09 dev near nud permanent &&
ip route add unreachable 10.1.0.0/16 &&
ip route add prohibit 10.2.0.0/16 &&
ip route add blackhole 10.3.0.0/16 &&
exec "$0" "$@"`;

const skip = missingForRoot("unshare", "ip");

let findings: Promise<Findings> | undefined;

/** Returns the findings of the program, which runs once for all tests. */
function explore(): Promise<Findings> {
  return findings ??= (async () => {
    // Deno allows reading /proc/self/net only with all permissions.
    const program = programCommand("routes", ["--allow-all"]);
    const args = ["--net", "sh", "-c", NETWORK, ...program];
    const { code, stdout, stderr } = await run("unshare", args);
    assertEquals([code, stderr], [0, ""]);
    return JSON.parse(stdout);
  })();
}

/** A row: the target, its description, the error's kind, the server's reply. */
const rows: readonly (readonly [string, string, string, number])[] = [
  ["127.0.0.1", "a closed port", "refused", 5],
  ["10.1.0.1", "an unreachable route", "host-unreachable", 4],
  ["10.2.0.1", "a prohibiting route", "denied", 2],
  ["10.3.0.1", "a blackhole route", "net-unreachable", 3],
  ["10.9.0.1", "no route", "net-unreachable", 3],
  ["fd00::1", "no IPv6 route", "net-unreachable", 3],
];

for (const [target, name, kind, reply] of rows) {
  test(`connect() rejects with ${kind} when there is ${name}`, async () => {
    assertEquals((await explore()).kinds[target], kind);
  }, { skip });

  test(`serve() replies ${reply} when there is ${name}`, async () => {
    assertEquals((await explore()).replies[target], reply);
  }, { skip });
}

test("the rows have all targets of the program", () => {
  assertEquals(rows.map(([target]) => target), [...TARGETS]);
});

/** Bun cannot cancel its own attempts: this many may stay open until the kernel gives up. */
const MAX_LEFT = runtime === "bun" ? 64 : 0;

test("serve() replies 4 when the target does not answer in time", async () => {
  const { replies, leftByServer } = await explore();
  assertEquals(replies[SILENT], 4);
  assert(leftByServer <= MAX_LEFT, `${leftByServer} sockets stay`);
}, { skip });

test(
  "connect() leaves no sockets, or few on Bun, when a signal or a timeout ends it",
  async () => {
    const { aborted, timedOut } = await explore();
    assertEquals(aborted.kinds, ["aborted"]);
    assertEquals(timedOut.kinds, ["timeout"]);
    assert(aborted.left <= MAX_LEFT, `${aborted.left} sockets stay`);
    assert(timedOut.left <= MAX_LEFT, `${timedOut.left} sockets stay`);
  },
  { skip },
);

test(
  "serve() connects to a target after many attempts were given up",
  async () => {
    assertEquals((await explore()).echoed, ECHOED);
  },
  { skip },
);
