/** The doors into `fetch()` and `WebSocket` in programs with an environment of proxies. */

import type { Outcome } from "./fetch_program.ts";
import "./fetch_program.ts";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { runtime, test } from "../support/harness.ts";
import { startTarget } from "../support/server.ts";
import { run } from "./programs.ts";
import { withProgramOn } from "./runtimes.ts";

/** Runs the program on the runtime of the tests. */
function outcomeWith(
  env: Record<string, string>,
  permissions: readonly string[],
): Promise<Outcome> {
  return withProgramOn(runtime, "fetch", async ([command, ...args]) => {
    const { code, stdout, stderr } = await run(command, args, { env });
    assertEquals(code, 0, stderr);
    return JSON.parse(stdout.trim().split("\n").at(-1)!);
  }, permissions);
}

const PERMISSIONS = ["--allow-net", "--allow-env"];

for (const hosts of ["*", "localhost,127.0.0.1", ""]) {
  test(`createFetch() and createWebSocket() bypass no proxy with NO_PROXY=${hosts}`, async () => {
    const other = await startTarget((conn) => conn.close());
    const url = `http://127.0.0.1:${other.addr.port}`;
    for (const inCapitals of [true, false]) {
      const env = {
        HTTP_PROXY: url,
        HTTPS_PROXY: url,
        ALL_PROXY: url,
        NO_PROXY: hosts,
      };
      const entries = Object.entries(env).map(([name, value]) => [
        inCapitals ? name : name.toLowerCase(),
        value,
      ]);
      const { errors, connections } = await outcomeWith({
        ...Object.fromEntries(entries),
        NODE_USE_ENV_PROXY: "1",
        DENO_NO_UPDATE_CHECK: "1", // it would use the proxies
      }, PERMISSIONS);
      assert(errors.length >= 2);
      for (const error of errors) assertEquals(error, "rejected");
      assertEquals([connections, other.conns.length], [0, 0]);
    }
    await other.close();
  });
}

test(
  "createFetch() needs only the permission to reach the first proxy on Deno",
  async () => {
    const { errors, connections } = await outcomeWith({ NO_PROXY: "*" }, [
      "--allow-net=127.0.0.1",
    ]);
    // The last one is of a WebSocket.
    const [byName, byAddress] = errors;
    assertEquals([byName, byAddress], ["rejected", "rejected"]);
    assertEquals(connections, 0);
  },
  { skip: runtime === "deno" ? undefined : "only Deno has permissions" },
);

test(
  "createWebSocket() needs the permission to read NO_PROXY on Deno",
  async () => {
    const { errors, connections } = await outcomeWith({ NO_PROXY: "*" }, [
      "--allow-net",
    ]);
    const text = "--allow-env=NO_PROXY,no_proxy is needed";
    assert(errors.at(-1)!.startsWith(text), errors.at(-1));
    assertEquals(connections, 0);
    const few = [
      "--allow-net=127.0.0.1,localhost",
      "--allow-env=NO_PROXY,no_proxy",
    ];
    const granted = await outcomeWith({ NO_PROXY: "*" }, few);
    assertEquals(granted.errors, ["rejected", "rejected", "rejected"]);
    const ofProxy = ["--allow-net=127.0.0.1", few[1]];
    const { errors: refused } = await outcomeWith({ NO_PROXY: "*" }, ofProxy);
    assertMatch(refused[2], /^Requires net access to "localhost:\d+"/);
  },
  { skip: runtime === "deno" ? undefined : "only Deno has permissions" },
);
