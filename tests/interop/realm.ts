/**
 * A Kerberos realm on 127.0.0.1, in a temporary folder.
 *
 * @module
 */

import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { missing, run, withFolder, withListening } from "./programs.ts";
import { installed } from "./runtimes.ts";

const REALM = "SOCKS.TEST";
const PASSWORD = "alicepw";

/** The client of the tests. */
export const PRINCIPAL = `alice@${REALM}`;
/** The services that have a key in the keytab. */
const SERVICES = ["rcmd/localhost", "rcmd/127.0.0.1"];
/** A service that the KDC knows, but the keytab does not have. */
export const UNKEYED = "rcmd/unkeyed.test";

/** Returns why a test cannot run without the programs of a KDC. */
export function missingRealm(...names: string[]): string | undefined {
  return missing("krb5kdc", "kadmin.local", "kdb5_util", "kinit", ...names);
}

/** A realm whose KDC is running. */
export interface Realm {
  readonly folder: string;
  readonly keytab: string;
  /** The environment of programs with a ticket of {@linkcode PRINCIPAL}. */
  readonly env: Record<string, string>;
  /** Sends commands to `kadmin.local`. */
  admin(...commands: string[]): Promise<void>;
}

/** Runs `use` with a realm, and stops its KDC afterwards. */
export function withRealm(use: (realm: Realm) => Promise<void>): Promise<void> {
  return withFolder(async (folder) => {
    await chmod(folder, 0o755); // Dante reads the keytab as another user
    const env = await environmentIn(folder);
    const realm: Realm = {
      folder,
      env,
      keytab: join(folder, "socks.keytab"),
      admin: (...commands) => admin(env, commands),
    };
    // The database does not depend on the port of the KDC.
    await configure(folder, 0);
    await create(realm);
    const argsFor = async (port: number) => {
      await configure(folder, port);
      const variables = Object.entries(env).map((it) => it.join("="));
      return [...variables, "krb5kdc", "-n", "-r", REALM];
    };
    await withListening("env", argsFor, async () => {
      await check("kinit", [PRINCIPAL], env, `${PASSWORD}\n`);
      await use(realm);
    });
  });
}

async function environmentIn(folder: string): Promise<Record<string, string>> {
  return {
    KRB5_CONFIG: join(folder, "krb5.conf"),
    KRB5_KDC_PROFILE: join(folder, "kdc.conf"),
    KRB5CCNAME: `FILE:${join(folder, "ccache")}`,
    KRB5_KTNAME: `FILE:${join(folder, "socks.keytab")}`,
    KRB5RCACHEDIR: folder,
    ...await koffiPath(),
  };
}

let koffi: Promise<string> | undefined;

/** Where Node.js finds the package `koffi`. */
async function koffiPath(): Promise<Record<string, string>> {
  koffi ??= installed("koffi@3");
  return { NODE_PATH: join(await koffi, "node_modules") };
}

async function create({ env, keytab, admin }: Realm): Promise<void> {
  await check("kdb5_util", ["-r", REALM, "create", "-s", "-P", "master"], env);
  await admin(
    `addprinc -pw ${PASSWORD} ${PRINCIPAL}`,
    ...[...SERVICES, UNKEYED].map((it) => `addprinc -randkey ${it}`),
    ...SERVICES.map((it) => `ktadd -k ${keytab} ${it}`),
  );
  await chmod(keytab, 0o644);
}

async function admin(
  env: Record<string, string>,
  commands: readonly string[],
): Promise<void> {
  await check("kadmin.local", ["-r", REALM], env, commands.join("\n") + "\n");
}

async function check(
  command: string,
  args: readonly string[],
  env: Record<string, string>,
  stdin = "",
): Promise<void> {
  const { code, stdout, stderr } = await run(command, args, { env, stdin });
  if (code === 0) return;
  throw new Error(`${command} ended (${code}): ${stdout}${stderr}`);
}

/** Writes the configuration of a realm whose KDC listens on this port, in a folder. */
async function configure(folder: string, port: number): Promise<void> {
  await writeKrb5Conf(join(folder, "krb5.conf"), port);
  await writeFile(
    join(folder, "kdc.conf"),
    `
[kdcdefaults]
 kdc_listen = 127.0.0.1:${port}
 kdc_tcp_listen = 127.0.0.1:${port}
[realms]
 ${REALM} = {
  database_name = ${folder}/principal
  key_stash_file = ${folder}/stash
  acl_file = ${folder}/kadm5.acl
  supported_enctypes = aes256-cts:normal
 }
`,
  );
}

/** Writes a `krb5.conf` with a KDC at this port of 127.0.0.1. */
export async function writeKrb5Conf(path: string, port: number): Promise<void> {
  await writeFile(
    path,
    `
[libdefaults]
 default_realm = ${REALM}
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 qualify_shortname = ""
 rdns = false
 udp_preference_limit = 1
[realms]
 ${REALM} = {
  kdc = 127.0.0.1:${port}
 }
[domain_realm]
 localhost = ${REALM}
 127.0.0.1 = ${REALM}
 .test = ${REALM}
[logging]
 kdc = FILE:/dev/null
 default = FILE:/dev/null
`,
  );
}
