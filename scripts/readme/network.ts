/**
 * A network of its own for the commands of the README: they use fixed ports and names of
 * the internet.
 *
 * @module
 */

import { join } from "node:path";
import { run } from "../run.ts";
import { strict } from "../runtimes.ts";

/** The website in the README's examples. */
export const website = "example.com";

/** The page of the website. */
export const page = "an example\n";

/** The branch of every git repository of the website. */
export const branch = "refs/heads/main";

/** The ssh server in the README's examples. */
export const sshServer = "server.example";

/** What the server prints, instead of starting a shell. */
export const sshText = "hello from the server";

/** The certificate of the website, in the folder of {@linkcode isolate}. */
export const certificate = "website.pem";

const key = "website.key";

/**
 * Runs a program of Deno in a network that has only the loopback interface, where the
 * website resolves to it. Returns the exit code, or `undefined` if the system does not
 * allow it; in CI that is an error.
 */
export async function isolate(
  folder: string,
  program: string[],
): Promise<number | undefined> {
  const unshare = ["--net", "--mount"];
  const { success, stderr } = await run("unshare", [...unshare, "true"]);
  if (!success) {
    const note = `this system makes no network for the README: ${stderr}`;
    if (strict) throw new Error(note);
    return void console.error(`${note.trimEnd()}: not checked`);
  }
  const hosts = join(folder, "hosts");
  const names = ["localhost", website, sshServer].join(" ");
  await Deno.writeTextFile(hosts, `127.0.0.1 ${names}\n`);
  await makeCertificate(folder);
  const client = await configureSsh(folder);
  const script = 'ip link set lo up && mount --bind "$1" /etc/hosts && ' +
    'mount --bind "$2" /etc/ssh/ssh_config && shift 2 && exec "$@"';
  const args = [
    ...unshare,
    ...["sh", "-c", script, "sh", hosts, client, Deno.execPath()],
    ...program,
  ];
  const child = new Deno.Command("unshare", { args, stdin: "null" }).spawn();
  return (await child.status).code;
}

async function makeCertificate(folder: string): Promise<void> {
  const { success, stderr } = await run("openssl", [
    ...["req", "-x509", "-nodes", "-days", "2", "-subj", `/CN=${website}`],
    ...["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    ...["-addext", `subjectAltName=DNS:${website}`],
    ...["-out", join(folder, certificate), "-keyout", join(folder, key)],
  ]);
  if (!success) throw new Error(`openssl failed:\n${stderr}`);
}

/**
 * Creates the keys and the configurations of an ssh server and of its client, and returns the
 * path of the latter: ssh reads the one of its user from the real home folder.
 */
async function configureSsh(folder: string): Promise<string> {
  const [host, user, server, client] = [
    ...["ssh_host_key", "ssh_user_key", "sshd_config", "ssh_config"],
  ].map((it) => join(folder, it));
  for (const path of [host, user]) {
    const args = ["-q", "-t", "ed25519", "-N", "", "-f", path];
    const { success, stderr } = await run("ssh-keygen", args);
    if (!success) throw new Error(`ssh-keygen failed:\n${stderr}`);
  }
  await Deno.writeTextFile(
    server,
    `ListenAddress 127.0.0.1
HostKey ${host}
AuthorizedKeysFile ${user}.pub
StrictModes no
UsePAM no
PidFile none
`,
  );
  await Deno.writeTextFile(
    client,
    `IdentityFile ${user}
IdentitiesOnly yes
StrictHostKeyChecking no
UserKnownHostsFile /dev/null
BatchMode yes
RemoteCommand echo ${sshText}
`,
  );
  return client;
}

/** Serves the website, in the network of {@linkcode isolate}. */
export async function serveWebsite(folder: string): Promise<AsyncDisposable> {
  return Deno.serve({
    hostname: "127.0.0.1",
    port: 443,
    cert: await Deno.readTextFile(join(folder, certificate)),
    key: await Deno.readTextFile(join(folder, key)),
    onListen() {},
  }, ({ url }) => {
    const isGit = new URL(url).pathname.endsWith(".git/info/refs");
    return new Response(isGit ? `${"1".repeat(40)}\t${branch}\n` : page);
  });
}
