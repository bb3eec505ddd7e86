/** The warning of an exposed server that cannot list the addresses of its machine. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { ownAddressesWarning } from "../../src/cli/serve/own_addresses_warning.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { userPass } from "../../src/server/auth/user_pass.ts";
import { runtime, test } from "../support/harness.ts";
import { withProgram } from "../support/spawn.ts";

for (
  const [hostname, ownAddresses, isWarned] of [
    ["0.0.0.0", () => [], true],
    ["::", undefined, true],
    ["0.0.0.0", () => ["127.0.0.1"], false],
    ["127.0.0.1", () => [], false],
    ["::1", undefined, false],
  ] as const
) {
  const known = ownAddresses?.().length ?? "no";
  test(`ownAddressesWarning() ${isWarned ? "warns" : "is silent"} on ${hostname} with ${known} known addresses`, async () => {
    const transport = { ...await detectTransport(), ownAddresses };
    const auth = [userPass({ alice: "one" })];
    const warning = await ownAddressesWarning({ hostname, auth }, transport);
    assertEquals(warning !== undefined, isWarned);
    if (warning) {
      assertMatch(warning, /^warning: the addresses of this machine /);
    }
  });
}

const onlyDeno = runtime === "deno"
  ? undefined
  : "only Deno can hide the addresses by a permission";

for (
  const [log, workers, stderr] of [
    [
      "off",
      "1",
      /^socks5: warning: the addresses of this machine .+\n$/,
    ],
    [
      "off",
      "2",
      /^socks5: warning: the addresses of this machine .+\n$/,
    ],
    ["json", "1", /^$/],
    ["text", "2", /^$/],
  ] as const
) {
  test(
    `socks5 --log ${log} --workers ${workers} says at its start and in /metrics that its addresses are unknown`,
    async () => {
      const args = ["--hostname=0.0.0.0", "--port=0", "--user=a:b"];
      args.push("--metrics=0", "--log", log, "--workers", workers);
      await withProgram(args, async (program) => {
        const line = await program.line(/metrics/);
        const url = /http:[^",)\s]+/.exec(line)![0];
        const metrics = await (await fetch(url)).text();
        const [, value] = /^socks5_own_addresses_unknown (\d+)$/m
          .exec(metrics)!;
        assertEquals(value, workers);
        if (log !== "off") {
          await program.line(/the addresses of this machine cannot be listed/);
        }
        program.kill("SIGTERM");
        const ended = await program.ended;
        assertMatch(ended.stderr, stderr);
        const said = `${ended.stdout}${ended.stderr}`.split("cannot be listed");
        assertEquals(said.length, 2);
        assert(ended.code === 0);
      }, { mayShare: true });
    },
    { skip: onlyDeno },
  );
}
