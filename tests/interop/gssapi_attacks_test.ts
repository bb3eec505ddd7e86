/** GSSAPI with Kerberos: attacks, errors, and a KDC that does not answer. */

import type { Attack, AttackReport } from "./gssapi_program.ts";
import "./gssapi_program.ts";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { rm, writeFile } from "node:fs/promises";
import * as net from "node:net";
import { join } from "node:path";
import type { GssapiLoginOptions } from "../../src/gssapi/mod.ts";
import { test } from "../support/harness.ts";
import { runGssapiClient, withGssapiServer, withRole } from "./gssapi.ts";
import { run } from "./programs.ts";
import {
  missingRealm,
  PRINCIPAL,
  type Realm,
  UNKEYED,
  withRealm,
  writeKrb5Conf,
} from "./realm.ts";
import { startTarget } from "./targets.ts";

const skip = missingRealm();

function runAttack({ env }: Realm, port: number, attack: Attack) {
  return withRole("attack", { port, attack }, async (command, args) => {
    const { code, stdout, stderr } = await run(command, args, { env });
    if (code !== 0) throw new Error(stderr);
    return JSON.parse(stdout) as AttackReport;
  });
}

/** The reply to a request that cannot be read, and to a closed port. */
const FAILURE = "05010001000000000000";
const REFUSED = "05050001000000000000";

/** A row: the attack, the answer of the server, and the reason of the session's end. */
const attacks: readonly (readonly [Attack, AttackReport, string])[] = [
  ["good", { level: 2, data: REFUSED, aborted: false }, "refused"],
  [{ level: 1 }, { level: 1, data: REFUSED, aborted: false }, "refused"],
  [{ level: 0 }, { level: 2, data: REFUSED, aborted: false }, "refused"],
  [{ level: 3 }, { level: 2, data: REFUSED, aborted: false }, "refused"],
  [{ level: 9 }, { level: 2, data: REFUSED, aborted: false }, "refused"],
  ["replay", { data: "", aborted: true }, "login-failed"],
  ["junk", { data: "", aborted: true }, "login-failed"],
  ["empty", { data: "", aborted: true }, "login-failed"],
  ["bare level", { data: "", aborted: false }, "login-failed"],
  ["long level", { data: "", aborted: false }, "login-failed"],
  ["clear", { level: 2, data: FAILURE, aborted: false }, "protocol-error"],
  ["signed", { level: 2, data: FAILURE, aborted: false }, "protocol-error"],
  ["tampered", { level: 2, data: FAILURE, aborted: false }, "protocol-error"],
];

test(
  "gssapi() answers attackers as it should, and never in clear",
  () =>
    withRealm((realm) =>
      withGssapiServer(realm, {}, async ({ port, sessions }) => {
        let count = 0;
        for (const [attack, expected, reason] of attacks) {
          const name = JSON.stringify(attack);
          const report = await runAttack(realm, port, attack);
          assertEquals({ name, ...report }, { name, ...expected });
          count += attack === "replay" ? 2 : 1;
          const ended = await sessions(count);
          // The first one of a replay, whose client leaves, ends last.
          const reasons = ended.slice(-2).map((it) => it.reason);
          assert(reasons.includes(reason), `${name}: ${reasons}`);
        }
      })
    ),
  { skip },
);

test(
  "gssapi() resets the session of a client that sends the same token twice",
  () =>
    withRealm((realm) =>
      withGssapiServer(realm, {}, async ({ port, sessions }) => {
        const target = await startTarget((socket) => socket.resume());
        const report = await runAttack(realm, port, "twice");
        assertEquals(report.level, 2);
        const [{ error, user }] = await sessions(1);
        assertEquals(user, PRINCIPAL);
        assert(error !== undefined);
        await target.close();
      })
    ),
  { skip },
);

/** A row: what is wrong, the options of the client, the code and words of its error. */
const mistakes: readonly (readonly [
  name: string,
  login: GssapiLoginOptions,
  prepare: (realm: Realm) => Promise<unknown>,
  cause: string | undefined,
  ...words: string[],
])[] = [
  [
    "there is no ticket",
    {},
    ({ folder }) => rm(join(folder, "ccache")),
    "no-ticket",
    "No Kerberos credentials available (default cache: FILE:/",
    "`kinit`",
  ],
  ...["", "\x05", "\x05\x04\0\0", "no credential cache"].map((content) =>
    [
      `the credential cache holds ${JSON.stringify(content)}`,
      {},
      ({ folder }: Realm) => writeFile(join(folder, "ccache"), content),
      "no-ticket",
      "the credential cache cannot be read",
      "`kinit`",
    ] as const
  ),
  [
    "Kerberos does not know the service",
    { hostname: "unknown.test" },
    () => Promise.resolve(),
    "unknown-service",
    "rcmd@unknown.test",
    "add the principal",
  ],
  [
    "no KDC listens",
    {},
    ({ folder }) => writeKrb5Conf(join(folder, "krb5.conf"), 1),
    "kdc",
    "krb5.conf",
  ],
  [
    "the library is missing",
    { library: "libnowhere.so" },
    () => Promise.resolve(),
    "library",
    "libnowhere.so",
    "apt install libgssapi-krb5-2",
  ],
  [
    "the keytab of the proxy lacks its key",
    { hostname: "unkeyed.test" },
    () => Promise.resolve(),
    undefined,
    "the proxy refused the ticket",
  ],
];

for (const [name, login, prepare, cause, ...words] of mistakes) {
  test(
    `gssapiLogin() says what to do when ${name}`,
    () =>
      withRealm((realm) =>
        withGssapiServer(realm, {}, async ({ port }) => {
          await prepare(realm);
          const task = { port, login, echo: { port: 9, size: 1 } };
          const report = await runGssapiClient(realm, task);
          assertEquals(report.code, "login-failed", report.message);
          assertEquals(report.cause, cause, report.message);
          for (const it of words) assertStringIncludes(report.message!, it);
        })
      ),
    { skip },
  );
}

/** A row: what is wrong, and words of the error in the log. */
const serverMistakes: readonly (readonly [
  name: string,
  login: GssapiLoginOptions,
  prepare: (realm: Realm) => Promise<unknown>,
  ...words: string[],
])[] = [
  [
    "the keytab lacks the key of a service",
    { hostname: "unkeyed.test" },
    () => Promise.resolve(),
    UNKEYED,
    "klist -k",
  ],
  [
    "the keytab is out of date",
    {},
    ({ admin }) => admin("cpw -randkey rcmd/localhost"),
    "kvno 3 not found",
    "klist -k",
  ],
];

for (const [name, login, prepare, ...words] of serverMistakes) {
  test(
    `gssapi() reports a login-error that says what to do when ${name}`,
    () =>
      withRealm((realm) =>
        withGssapiServer(realm, {}, async ({ port, sessions }) => {
          await prepare(realm);
          const task = { port, login, echo: { port: 9, size: 1 } };
          await runGssapiClient(realm, task);
          const [{ reason, error }] = await sessions(1);
          assertEquals(reason, "login-error", error);
          for (const it of words) assertStringIncludes(error!, it);
        })
      ),
    { skip },
  );
}

test(
  "gssapi() rejects when there is no keytab, and names it",
  () =>
    withRealm(({ env, folder }) => {
      const keytab = join(folder, "none.keytab");
      return withRole("server", { keytab }, async (command, args) => {
        const { code, stdout, stderr } = await run(command, args, { env });
        assertEquals(stdout, "");
        assert(code !== 0);
        for (const it of [keytab, "`klist -k`"]) {
          assertStringIncludes(stderr, it);
        }
      });
    }),
  { skip },
);

/** A KDC that accepts connections and does not answer. */
async function withSilentKdc(
  use: (port: number) => Promise<void>,
): Promise<void> {
  const sockets = new Set<net.Socket>();
  const kdc = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.resume();
  });
  await new Promise<void>((resolve) => kdc.listen(0, "127.0.0.1", resolve));
  try {
    await use((kdc.address() as net.AddressInfo).port);
  } finally {
    for (const it of sockets) it.destroy();
    await new Promise((resolve) => kdc.close(resolve));
  }
}

test(
  "gssapiLogin() keeps the event loop running and its timeout when the KDC does not answer",
  () =>
    withRealm((realm) =>
      withGssapiServer(realm, {}, ({ port }) =>
        withSilentKdc(async (kdc) => {
          await writeKrb5Conf(join(realm.folder, "krb5.conf"), kdc);
          const timeout = 1_000;
          const task = { port, timeout, echo: { port: 9, size: 1 } };
          // A busy machine may delay the event loop, but not each time.
          const gaps: number[] = [];
          while (gaps.length < 5 && !gaps.some((it) => it < 100)) {
            const { code, took, gap } = await runGssapiClient(realm, task);
            assertEquals(code, "timeout");
            assert(took < 3_000, `took ${took} ms`);
            gaps.push(gap);
          }
          assert(
            gaps.at(-1)! < 100,
            `the event loop did not run for ${gaps} ms`,
          );
        }))
    ),
  { skip },
);
