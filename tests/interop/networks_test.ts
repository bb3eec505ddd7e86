/** BIND on a server with two networks, in a network namespace of its own. */

import { BINDS } from "./networks_program.ts";
import { assertEquals } from "@std/assert";
import { runtime, test } from "../support/harness.ts";
import { missingForRoot, programCommand, run } from "./programs.ts";

/** Two networks, and a third one that a router of the second network leads to. */
const NETWORK = `
ip link set lo up &&
for n in 4 5; do
  ip link add near$n type veth peer name far$n &&
  ip link set far$n up &&
  ip link set near$n up &&
  ip address add 10.$n.0.1/16 dev near$n &&
  ip address add fd00:$n::1/32 dev near$n nodad || exit
done &&
ip route add 10.6.0.0/16 via 10.5.0.254 &&
exec "$0" "$@"`;

const skip = missingForRoot("unshare", "ip");

/** Returns the addresses at which the BINDs listen. */
async function boundAddresses(permissions: string[]): Promise<string[]> {
  const program = programCommand("networks", permissions);
  const args = ["--net", "sh", "-c", NETWORK, ...program];
  const { code, stdout, stderr } = await run("unshare", args);
  assertEquals([code, stderr], [0, ""]);
  return JSON.parse(stdout);
}

/** Where Deno listens for a peer on the third network: it cannot look up routes. */
const routed = runtime === "deno" ? "10.4.0.1" : "10.5.0.1";

/**
 * A row: where the client reaches the server, the expected peer, where the server listens
 * for it, and where if it cannot list its addresses.
 */
const rows: readonly (readonly [string, string, string, string])[] = [
  ["10.4.0.1", "10.5.0.9", "10.5.0.1", "10.4.0.1"],
  ["fd00:4::1", "fd00:5::9", "fd00:5::1", "fd00:4::1"],
  ["10.4.0.1", "fd00:5::9", "fd00:5::1", "reply 1"],
  ["10.4.0.1", "10.6.0.9", routed, "10.4.0.1"],
];

test(
  "serve() listens for the peer of a BIND at its own address on the peer's network",
  async () => {
    assertEquals(
      await boundAddresses(["--allow-net", "--allow-sys=networkInterfaces"]),
      rows.map(([_reached, _peer, expected]) => expected),
    );
  },
  { skip },
);

test(
  "serve() listens where the client reached it, or refuses a BIND, when it cannot list its addresses",
  async () => {
    assertEquals(
      await boundAddresses(["--allow-net"]),
      rows.map(([_reached, _peer, _expected, unlisted]) => unlisted),
    );
  },
  {
    skip: runtime === "deno"
      ? skip
      : "only Deno needs a permission to list the interfaces",
  },
);

test("the rows have all BINDs of the program", () => {
  const binds = rows.map(([reached, peer]) => [reached, peer] as const);
  assertEquals(binds, [...BINDS]);
});
