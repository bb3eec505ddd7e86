/** `--auth-command` with the helpers of Debian's squid: files of htpasswd, and LDAP. */

import { assertEquals, assertRejects } from "@std/assert";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connect, SocksError } from "../../src/client/mod.ts";
import { test } from "../support/harness.ts";
import { withProgram } from "../support/spawn.ts";
import {
  missing,
  outputOf,
  run,
  withFolder,
  withListening,
} from "./programs.ts";

const NCSA = "/usr/lib/squid/basic_ncsa_auth";
const LDAP = "/usr/lib/squid/basic_ldap_auth";
const PASSWORD = "correct: %horse+é";

/** The outcome of a login. */
async function logIn(
  port: number,
  username: string,
  password: string,
): Promise<string> {
  const proxy = {
    protocol: "socks5",
    hostname: "127.0.0.1",
    port,
    username,
    password,
  } as const;
  const error = await assertRejects(() => connect(proxy, "127.0.0.1:1"));
  return error instanceof SocksError ? error.code : String(error);
}

/** Asserts that a server with this program accepts the login of alice, and no other. */
async function assertVerifies(command: string): Promise<void> {
  const args = ["--port=0", "--log=json", "--auth-command", command];
  await withProgram(args, async (program) => {
    const port = await program.port();
    const outcomes = [
      await logIn(port, "alice", "wrong"),
      await logIn(port, "alice", PASSWORD),
      await logIn(port, "mallory", PASSWORD),
      await logIn(port, "alice", `${PASSWORD}\0`),
      await logIn(port, "*", PASSWORD),
    ];
    assertEquals(outcomes, [
      "login-failed",
      "rejected", // nothing listens on the target's port
      "login-failed",
      "login-failed",
      "login-failed",
    ]);
    await program.lines(/"login-failed"/, 4);
  }, { mayRun: true });
}

test(
  "socks5 --auth-command verifies logins by basic_ncsa_auth",
  () =>
    withFolder(async (folder) => {
      const file = join(folder, "htpasswd");
      const hash = outputOf("openssl", "passwd", "-apr1", PASSWORD).trim();
      await writeFile(file, `alice:${hash}\n`);
      await assertVerifies(`${NCSA} ${file}`);
    }),
  { skip: missing(NCSA, "openssl") },
);

const SUFFIX = "dc=example,dc=test";
const SCHEMAS = ["core", "cosine", "inetorgperson"];

function configuration(folder: string): string {
  return [
    ...SCHEMAS.map((it) => `include /etc/ldap/schema/${it}.schema`),
    "modulepath /usr/lib/ldap",
    "moduleload back_mdb",
    "database mdb",
    `suffix "${SUFFIX}"`,
    `directory ${folder}/db`,
    "maxsize 1048576",
    "",
  ].join("\n");
}

const ENTRIES = `dn: ${SUFFIX}
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: uid=alice,${SUFFIX}
objectClass: inetOrgPerson
uid: alice
cn: Alice
sn: Example
userPassword: ${PASSWORD}
`;

test(
  "socks5 --auth-command verifies logins by basic_ldap_auth and a directory",
  () =>
    withFolder(async (folder) => {
      const file = join(folder, "slapd.conf");
      await mkdir(join(folder, "db"));
      await writeFile(file, configuration(folder));
      const added = await run("slapadd", ["-f", file], { stdin: ENTRIES });
      assertEquals(added.code, 0, added.stderr);
      const uri = (port: number) => `ldap://127.0.0.1:${port}`;
      await withListening(
        "slapd",
        (port) => ["-f", file, "-h", uri(port), "-d", "0"],
        (port) => assertVerifies(`${LDAP} -H ${uri(port)} -b ${SUFFIX} -u uid`),
      );
    }),
  { skip: missing(LDAP, "slapd", "slapadd") },
);
