/** Prefixes and addresses without free ports, in network namespaces of their own. */

import { type Findings, PAIR, PORTS, PREFIX } from "./egress_program.ts";
import { assert, assertEquals } from "@std/assert";
import { cidrContains, parseCidr } from "../../src/protocol/cidr.ts";
import { test } from "../support/harness.ts";
import { missingForRoot, programCommand, run } from "./programs.ts";

const ROUTE = `ip -6 route add local ${PREFIX} dev lo`;
const SETTING = "sysctl -w net.ipv6.ip_nonlocal_bind=1";
const ELSEWHERE = "2001:db8:9::/64";

const skip = missingForRoot("unshare", "ip", "curl");

/** Runs the program in a namespace in which these commands have run. */
async function explore(...commands: string[]): Promise<Findings> {
  const network = ["ip link set lo up", ...commands, 'exec "$0" "$@"'];
  const program = programCommand("egress", ["--allow-all"]);
  const script = network.join(" &&\n");
  const args = ["--net", "sh", "-c", script, ...program];
  const { code, stdout, stderr } = await run("unshare", args);
  assertEquals([code, stderr], [0, ""]);
  return JSON.parse(stdout);
}

let findings: Promise<Findings> | undefined;

/** The findings in a namespace with the prefix; the program runs once for all tests. */
function withPrefix(): Promise<Findings> {
  // This sysctl prints nothing.
  return findings ??= explore(ROUTE, SETTING.replace("-w", "-qw"));
}

const block = parseCidr(PREFIX)!;

test(
  "serve() gives each session word of curl an address of an IPv6 prefix",
  async () => {
    const { words } = await withPrefix();
    const sources = Object.values(words);
    assertEquals(sources.length, 3);
    for (const [socks, http] of sources) {
      assert(cidrContains(block, socks), socks);
      assertEquals(http, socks);
    }
    assertEquals(new Set(sources.flat()).size, 3);
  },
  { skip },
);

test(
  "serve() listens for the peer of a BIND at the address of the session word",
  async () => {
    const { words, bound } = await withPrefix();
    assertEquals(bound, words["1"][0]);
  },
  { skip },
);

test(
  "serve() goes on to the next address of a list when one has no free port",
  async () => {
    const { pair: { replies, sources, counted, error } } = await withPrefix();
    assertEquals(replies, [
      ...Array(2 * PORTS).fill(0),
      ...Array(PORTS).fill(1),
    ]);
    assertEquals(sources, Object.fromEntries(PAIR.map((it) => [it, PORTS])));
    // The second half tried one address in vain, and the refused ones both.
    assertEquals(counted, { exhausted: 3 * PORTS, unavailable: 0 });
    const [a, b] = PAIR;
    const what = "there is no free source port on";
    assert(
      [a, b].some((it) => error === `${what} ${it} and 1 other address`),
      error,
    );
  },
  { skip },
);

test(
  "serve() goes on to other addresses of a prefix when one has no free port",
  async () => {
    const { prefix: { replies, sources, counted } } = await withPrefix();
    assertEquals(replies, [
      ...Array(4 * PORTS).fill(0),
      ...Array(PORTS).fill(1),
    ]);
    assertEquals(Object.values(sources), Array(4).fill(PORTS));
    for (const it of Object.keys(sources)) assert(cidrContains(block, it), it);
    assertEquals(counted, {
      exhausted: (1 + 2 + 3 + 4) * PORTS,
      unavailable: 0,
    });
  },
  { skip },
);

test(
  "viaWarnings() names the addresses and prefixes that the machine cannot use",
  async () => {
    const { warnings } = await withPrefix();
    assertEquals(warnings, [
      `via ${ELSEWHERE}: the prefix does not lead to this machine; on Linux run: ` +
      `ip -6 route add local ${ELSEWHERE} dev lo`,
      "via 192.0.2.7: this machine does not have the address",
    ]);
  },
  { skip },
);

test(
  "serve() replies 1 and counts when the prefix is not set up, and viaWarnings() says how",
  async () => {
    const { words, prefix, pair, warnings } = await explore(ROUTE);
    assertEquals(words, {});
    assertEquals(prefix.replies, Array(5 * PORTS).fill(1));
    assertEquals(prefix.counted, { exhausted: 0, unavailable: 20 * PORTS });
    assertEquals(pair.counted, { exhausted: 3 * PORTS, unavailable: 0 });
    const [first] = warnings;
    assertEquals(
      first,
      `via ${PREFIX}: this machine cannot use the addresses of the prefix; on Linux run: ` +
        `${ROUTE} && ${SETTING}`,
    );
  },
  { skip },
);
