/** The program with Kerberos logins, in a realm. */

import "../interop/gssapi_program.ts";
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { assertFulfilled, runGssapiClient } from "../interop/gssapi.ts";
import { missingRealm, PRINCIPAL, withRealm } from "../interop/realm.ts";
import { echo, startTarget } from "../interop/targets.ts";
import { runtime, test } from "../support/harness.ts";
import { runProgram, withProgram } from "../support/spawn.ts";

const skip = missingRealm();

test(
  "socks5 --gssapi-keytab accepts Kerberos logins, and logs the principal",
  () =>
    withRealm(async (realm) => {
      const { env, folder } = realm;
      const config = join(folder, "server.json");
      const rules = [`deny user ${PRINCIPAL} *:9`, "allow"];
      // The path is relative to the folder of the file.
      const gssapi = { gssapiKeytab: "socks.keytab", gssapiLevels: [2] };
      await writeFile(config, JSON.stringify({ ...gssapi, rules }));
      const target = await startTarget(echo);
      const args = ["--port", "0", "--config", config];
      const options = { env, mayRead: true, mayLoad: true };
      await withProgram(args, async (program) => {
        const port = await program.port();
        const login = { levels: [1, 2] as const };
        const task = { port, login, echo: { port: target.port, size: 1_000 } };
        assertFulfilled(await runGssapiClient(realm, task), task);
        const denied = { ...task, echo: { port: 9, size: 1 } };
        const { code } = await runGssapiClient(realm, denied);
        assertEquals(code, "rejected");
        const [first, second] = await program.lines(/session-end/, 2);
        const ended = [first, second].map((it) => JSON.parse(it));
        assertEquals(ended.map(({ user }) => user), [PRINCIPAL, PRINCIPAL]);
        assertEquals(ended.map(({ reason }) => reason), [
          "finished",
          "refused",
        ]);
        const listening = JSON.parse(await program.line(/"listening"/));
        assertEquals([listening.logins, listening.gssapi], [0, true]);
      }, options);
      await target.close();
    }),
  { skip },
);

test(
  "socks5 --check reports valid Kerberos logins, and a missing keytab",
  () =>
    withRealm(async ({ env, keytab, folder }) => {
      const options = { env, mayLoad: true };
      const valid = ["--check", "--gssapi-keytab", keytab];
      const good = await runProgram(valid, options);
      assertEquals([good.code, good.stderr.replace(/^\(.*\n/gm, "")], [0, ""]);
      assertMatch(good.stdout, /is valid: .*, Kerberos logins\n$/);
      const none = join(folder, "none.keytab");
      for (const check of [["--check"], []]) {
        const args = [...check, "--port", "0", "--gssapi-keytab", none];
        const bad = await runProgram(args, options);
        assertEquals([bad.code, bad.stdout], [2, ""]);
        for (const it of ["--gssapi-keytab", none, "`klist -k`"]) {
          assertStringIncludes(bad.stderr, it);
        }
      }
    }),
  { skip },
);

test(
  "socks5 --gssapi-keytab reloads on SIGHUP: its keytab is a file",
  () =>
    withRealm(async ({ env, keytab }) => {
      const args = ["--port", "0", "--log", "text", "--gssapi-keytab", keytab];
      await withProgram(args, async (program) => {
        await program.port();
        program.kill("SIGHUP");
        await program.line(/ reloaded: logins 0, rules 0$/);
      }, { env, mayLoad: true });
    }),
  { skip },
);

test("socks5 --gssapi-keytab says what is missing to load the library", async () => {
  const args = ["--check", "--gssapi-keytab", "/nowhere/socks.keytab"];
  const { code, stderr } = await runProgram(args);
  assertEquals(code, 2);
  const missing = {
    deno: /--allow-ffi/,
    bun: /nowhere|apt install/,
    node: /npm install koffi|nowhere|apt install/,
  };
  assertMatch(stderr, missing[runtime]);
});
