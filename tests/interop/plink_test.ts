/** PuTTY's plink through the server, configured by a saved session. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type ServeOptions, userPass } from "../../src/server/mod.ts";
import { test } from "../support/harness.ts";
import { assertSameOctets } from "../transport/contract.ts";
import { missing, type Output, run, withFolder } from "./programs.ts";
import { withServer } from "./server.ts";
import { answerAtEnd, answerTo } from "./targets.ts";

/** Runs plink with a raw connection through the proxy to a port of 127.0.0.1. */
function plink(
  settings: Record<string, string | number>,
  port: number,
  stdin: string,
): Promise<Output> {
  return withFolder(async (home) => {
    const sessions = join(home, ".putty", "sessions");
    await mkdir(sessions, { recursive: true });
    const lines = Object.entries(settings).map(([key, value]) =>
      `${key}=${value}\n`
    );
    await writeFile(join(sessions, "interop"), lines.join(""));
    const target = ["-raw", "-P", `${port}`, "127.0.0.1"];
    const args = ["-batch", "-load", "interop", ...target];
    return await run("plink", args, { stdin, env: { HOME: home } });
  });
}

const alice: ServeOptions = { auth: [userPass({ alice: "correct horse" })] };
const login = { ProxyUsername: "alice", ProxyPassword: "correct horse" };

/**
 * A row: name, PuTTY's number of the proxy type, more of its settings, the options of
 * the server, and whether the connection is expected to succeed.
 */
type Row = readonly [
  string,
  1 | 2,
  Record<string, string>,
  ServeOptions,
  boolean,
];

const rows: readonly Row[] = [
  ["plink by SOCKS4", 1, {}, {}, true],
  ["plink by SOCKS5", 2, {}, {}, true],
  ["plink with a login", 2, login, alice, true],
  ["plink with a login where none is needed", 2, login, {}, true],
  [
    "plink with a wrong login",
    2,
    { ...login, ProxyPassword: "x" },
    alice,
    false,
  ],
];

for (const [name, type, settings, options, isAllowed] of rows) {
  test(
    `serve() ${isAllowed ? "serves" : "refuses"} ${name}`,
    () =>
      withServer(options, answerAtEnd, async (port, target, server) => {
        const { code, octets, stderr } = await plink(
          {
            ProxyMethod: type,
            ProxyHost: "127.0.0.1",
            ProxyPort: port,
            ProxyLocalhost: 1,
            ...settings,
          },
          target.port,
          "hello",
        );
        if (isAllowed) {
          // The exit code is not checked: PuTTY 0.78 sometimes crashes at its
          // end if it uses a proxy, whichever proxy that is.
          assertEquals(stderr, "");
          assertSameOctets(octets, answerTo("hello"));
          const { session } = await server.ended();
          assertEquals(session.version, type === 1 ? 4 : 5);
        } else {
          assertEquals([code, octets.length], [1, 0]);
          assertStringIncludes(stderr, "SOCKS");
          assertEquals(target.connections, 0);
        }
      }),
    { skip: missing("plink") },
  );
}
