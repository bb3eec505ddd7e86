/** What becomes of a connection that a route keeps from its target, in a network of our own. */

import { ECHOED, type Findings, SILENT, TARGETS } from "./routes_program.ts";
import { assert, assertEquals } from "@std/assert";
import { runtime, test } from "../support/harness.ts";
import { missingForRoot, programCommand, run } from "./programs.ts";

/** veth, unlike dummy, is in every kernel that has namespaces; nobody is at its other end. */
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

/** Runs the program, once for all tests. */
function explore(): Promise<Findings> {
  return findings ??= (async () => {
    // Deno lets /proc/self/net be read with all permissions only.
    const program = programCommand("routes", ["--allow-all"]);
    const args = ["--net", "sh", "-c", NETWORK, ...program];
    const { code, stdout, stderr } = await run("unshare", args);
    assertEquals([code, stderr], [0, ""]);
    return JSON.parse(stdout);
  })();
}

/** A row: the target, what it stands for, the error's kind, the server's reply. */
const rows: readonly (readonly [string, string, string, number])[] = [
  ["127.0.0.1", "a port where nobody listens", "refused", 5],
  ["10.1.0.1", "an unreachable route", "host-unreachable", 4],
  ["10.2.0.1", "a prohibiting route", "denied", 2],
  ["10.3.0.1", "a blackhole route", "net-unreachable", 3],
  ["10.9.0.1", "no route", "net-unreachable", 3],
  ["fd00::1", "no IPv6 route", "net-unreachable", 3],
];

for (const [target, what, kind, reply] of rows) {
  test(`connect() to ${what} rejects with ${kind}`, async () => {
    assertEquals((await explore()).kinds[target], kind);
  }, { skip });

  test(`serve() replies ${reply} to ${what}`, async () => {
    assertEquals((await explore()).replies[target], reply);
  }, { skip });
}

test("every target of the program is looked at", () => {
  assertEquals(rows.map(([target]) => target), [...TARGETS]);
});

/** Bun's own attempts can't be called back: that many may stay until the kernel gives up. */
const MAY_STAY = runtime === "bun" ? 64 : 0;

test("serve() replies 4 when the target does not answer in time", async () => {
  const { replies, leftByServer } = await explore();
  assertEquals(replies[SILENT], 4);
  assert(leftByServer <= MAY_STAY, `${leftByServer} sockets stay`);
}, { skip });

test(
  "attempts that a signal or a time limit ends leave no sockets, or few",
  async () => {
    const { aborted, timedOut } = await explore();
    assertEquals(aborted.kinds, ["aborted"]);
    assertEquals(timedOut.kinds, ["timeout"]);
    assert(aborted.left <= MAY_STAY, `${aborted.left} sockets stay`);
    assert(timedOut.left <= MAY_STAY, `${timedOut.left} sockets stay`);
  },
  { skip },
);

test("connections work as ever when many attempts were given up", async () => {
  assertEquals((await explore()).echoed, ECHOED);
}, { skip });
