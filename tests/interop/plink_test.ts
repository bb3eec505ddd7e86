/** PuTTY's plink through the server, configured by a saved session. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { chap, type ServeOptions, userPass } from "../../src/server/mod.ts";
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

const table = { alice: "correct horse" };
const alice: ServeOptions = { auth: [userPass(table)] };
const byChap: ServeOptions = { auth: [chap(table)] };
const login = { ProxyUsername: "alice", ProxyPassword: "correct horse" };

/**
 * A row: name, PuTTY's number of the proxy type, more of its settings, the options of
 * the server, and the name of the method (SOCKS4 has none), or `false` if a refusal is expected.
 */
type Row = readonly [
  string,
  1 | 2,
  Record<string, string>,
  ServeOptions,
  string | undefined | false,
];

const rows: readonly Row[] = [
  ["plink by SOCKS4", 1, {}, {}, undefined],
  ["plink by SOCKS5", 2, {}, {}, "none"],
  ["plink with a login", 2, login, alice, "password"],
  ["plink with a login where none is needed", 2, login, {}, "none"],
  [
    "plink with a wrong login",
    2,
    { ...login, ProxyPassword: "x" },
    alice,
    false,
  ],
  ["plink by CHAP", 2, login, byChap, "chap"],
  [
    "plink by CHAP with a wrong secret",
    2,
    { ...login, ProxyPassword: "x" },
    byChap,
    false,
  ],
  [
    "plink by CHAP as an unknown user",
    2,
    { ...login, ProxyUsername: "bob" },
    byChap,
    false,
  ],
  [
    "plink by CHAP where the server prefers it",
    2,
    login,
    { auth: [chap(table), userPass(table)] },
    "chap",
  ],
  [
    "plink by password where the server prefers that to CHAP",
    2,
    login,
    { auth: [userPass(table), chap(table)] },
    "password",
  ],
];

for (const [name, type, settings, options, method] of rows) {
  test(
    `serve() ${method !== false ? "serves" : "refuses"} ${name}`,
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
        if (method !== false) {
          // The exit code is not checked: PuTTY 0.78 sometimes crashes at its
          // end if it uses a proxy, whichever proxy that is.
          assertEquals(stderr, "");
          assertSameOctets(octets, answerTo("hello"));
          const { session } = await server.ended();
          assertEquals(session.version, type === 1 ? 4 : 5);
          assertEquals(session.method, method);
        } else {
          assertEquals([code, octets.length], [1, 0]);
          assertStringIncludes(stderr, "SOCKS");
          assertEquals(target.connections, 0);
        }
      }),
    { skip: missing("plink") },
  );
}
