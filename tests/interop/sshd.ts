/**
 * An OpenSSH server on 127.0.0.1, with its key and that of its only client in a
 * temporary folder.
 *
 * @module
 */

import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  findProgram,
  isRoot,
  run,
  withFolder,
  withListening,
} from "./programs.ts";

/** A running sshd. */
export interface Sshd {
  readonly port: number;
  /** The arguments of `ssh` to log in; more options and the command may follow. */
  readonly ssh: readonly string[];
}

/** Runs `use` with an sshd, and stops the sshd afterwards. */
export function withSshd(use: (sshd: Sshd) => Promise<void>): Promise<void> {
  return withFolder(async (folder) => {
    const [hostKey, key, keys, config] = ["host", "key", "keys", "config"]
      .map((it) => join(folder, it));
    await makeKey(hostKey);
    await makeKey(key);
    await copyFile(`${key}.pub`, keys);
    // Debian's service creates it at boot; an sshd of root does not start without it.
    if (isRoot) await mkdir("/run/sshd", { recursive: true, mode: 0o755 });
    // sshd needs its absolute path, because it executes itself again.
    const path = findProgram("sshd") ?? "sshd";
    const argsFor = async (port: number) => {
      await writeFile(config, configuration(port, hostKey, keys));
      return ["-D", "-e", "-f", config];
    };
    await withListening(
      path,
      argsFor,
      (port) => use({ port, ssh: arguments_(port, key) }),
    );
  });
}

async function makeKey(path: string): Promise<void> {
  const args = ["-q", "-t", "ed25519", "-N", "", "-f", path];
  const { code, stderr } = await run("ssh-keygen", args);
  if (code !== 0) throw new Error(`ssh-keygen: ${stderr}`);
}

function configuration(port: number, hostKey: string, keys: string): string {
  return `
ListenAddress 127.0.0.1
Port ${port}
HostKey ${hostKey}
AuthorizedKeysFile ${keys}
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding yes
PidFile none
`;
}

function arguments_(port: number, key: string): string[] {
  const options = [
    "IdentitiesOnly=yes",
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "GlobalKnownHostsFile=/dev/null",
    "BatchMode=yes",
    "LogLevel=ERROR",
    "ExitOnForwardFailure=yes",
  ].flatMap((it) => ["-o", it]);
  return ["-F", "none", "-i", key, "-p", `${port}`, ...options, "127.0.0.1"];
}
