/** GSSAPI with Kerberos, our server and our client: levels, runtimes, attacks, errors. */

import { MARK } from "./gssapi_program.ts";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Buffer } from "node:buffer";
import process from "node:process";
import { runtime, test } from "../support/harness.ts";
import {
  assertFulfilled,
  runGssapiClient,
  withGssapiServer,
  withRole,
  withTap,
} from "./gssapi.ts";
import { run } from "./programs.ts";
import { missingRealm, PRINCIPAL, type Realm, withRealm } from "./realm.ts";
import { missingRuntime, versions } from "./runtimes.ts";
import {
  type DatagramTarget,
  echo,
  MIB,
  startDatagramTarget,
  startTarget,
  type Target,
} from "./targets.ts";

const skip = missingRealm();

/** Runs `use` with a realm and two targets. */
function withTargets(
  use: (
    realm: Realm,
    target: Target,
    datagrams: DatagramTarget,
  ) => Promise<void>,
): Promise<void> {
  return withRealm(async (realm) => {
    const target = await startTarget(echo);
    const datagrams = await startDatagramTarget();
    try {
      await use(realm, target, datagrams);
    } finally {
      await target.close();
      await datagrams.close();
    }
  });
}

for (const name of versions) {
  test(
    `gssapi() serves our client on ${name} at every level: CONNECT, BIND, UDP`,
    () =>
      withTargets(async (realm, { port: target }, datagrams) => {
        const sizes = [0, 1, 1_000];
        const levels = [[2], [1], [0]] as const;
        await withGssapiServer(
          realm,
          { levels: [2, 1, 0] },
          async ({ port, sessions }) => {
            for (const it of levels) {
              const task = {
                port,
                login: { levels: it },
                echo: { port: target, size: 3 * MIB + 1 },
                bind: true,
                datagrams: { port: datagrams.port, sizes },
              };
              const report = await runGssapiClient(realm, task, name);
              assertFulfilled(report, task);
              assertEquals(
                report.most,
                { 2: 65_433, 1: 65_465, 0: 65_497 }[it[0]],
              );
            }
            for (const { user, method, reason } of await sessions(9)) {
              assertEquals([user, method, reason], [
                PRINCIPAL,
                "gssapi",
                "finished",
              ]);
            }
          },
        );
      }),
    { skip: skip ?? missingRuntime(name) },
  );
}

for (const level of [2, 1] as const) {
  const what = level === 2 ? "nothing" : "everything";
  test(
    `gssapiLogin() shows ${what} on the wire at level ${level}`,
    () =>
      withTargets((realm, { port: target }) =>
        withGssapiServer(
          realm,
          {},
          ({ port }) =>
            withTap(port, async (tapped, passed) => {
              const task = {
                port: tapped,
                login: { levels: [level] },
                echo: { port: target, size: 100_000 },
              };
              assertFulfilled(await runGssapiClient(realm, task), task);
              const wire = Buffer.concat(passed);
              assert(wire.length > 200_000, `${wire.length}`);
              assertEquals(wire.includes(MARK), level === 1);
            }),
        )
      ),
    { skip },
  );
}

test(
  "gssapi() keeps the memory of 10,000 contexts within 10 MiB",
  () =>
    withRealm(({ env, keytab }) =>
      withRole(
        "contexts",
        { keytab, count: 10_000 },
        async (command, args) => {
          const { code, stdout, stderr } = await run(command, args, { env });
          assertEquals([code, stderr.replace(/.*Warning.*\n.*\n/g, "")], [
            0,
            "",
          ]);
          const { grown } = JSON.parse(stdout);
          assert(grown < 10 * MIB, `${grown} bytes`);
        },
      )
    ),
  { skip },
);

const hasNodeFfi = runtime === "node" && "getBuiltinModule" in process &&
  process.getBuiltinModule("node:ffi") !== undefined;

test(
  "gssapi() without koffi uses node:ffi, or says that koffi is missing",
  () =>
    withTargets(async (realm, { port: target }, datagrams) => {
      const { NODE_PATH: _, ...env } = realm.env;
      if (!hasNodeFfi) {
        await withRole("server", {}, async (command, args) => {
          const { code, stderr } = await run(command, args, { env });
          assert(code !== 0);
          assertStringIncludes(stderr, "npm install koffi");
        });
        return;
      }
      const own = { ...realm, env };
      await withGssapiServer(own, {}, async ({ port, sessions }) => {
        const task = {
          port,
          echo: { port: target, size: MIB },
          bind: true,
          datagrams: { port: datagrams.port, sizes: [1] },
        };
        assertFulfilled(await runGssapiClient(own, task), task);
        for (const { user } of await sessions(3)) {
          assertEquals(user, PRINCIPAL);
        }
      });
    }),
  {
    skip: skip ?? (runtime === "node" ? undefined : "only Node.js needs koffi"),
  },
);
