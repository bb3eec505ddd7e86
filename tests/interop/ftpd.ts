/**
 * vsftpd on 127.0.0.1 with files in a temporary folder. It connects to its client
 * for every transfer (RFC 959 section 3.2; "active mode").
 *
 * @module
 */

import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { withFolder, withListening } from "./programs.ts";

/** A running FTP server. */
export interface Ftpd {
  readonly port: number;
  /** The folder that an anonymous client sees as `/`. */
  readonly files: string;
  /** The folder `/in`, the only one that the client may write to. */
  readonly inbox: string;
}

/** Runs `use` with an FTP server, and stops the server afterwards. Needs root. */
export function withFtpd(use: (ftpd: Ftpd) => Promise<void>): Promise<void> {
  return withFolder(async (folder) => {
    const [files, empty, config] = ["files", "empty", "config"]
      .map((it) => join(folder, it));
    const inbox = join(files, "in");
    await mkdir(inbox, { recursive: true });
    await mkdir(empty);
    await chmod(folder, 0o755);
    await chmod(inbox, 0o777); // vsftpd becomes the user `ftp`
    const argsFor = async (port: number) => {
      await writeFile(config, configuration(port, files, empty));
      return [config];
    };
    await withListening(
      "vsftpd",
      argsFor,
      (port) => use({ port, files, inbox }),
    );
  });
}

function configuration(port: number, files: string, empty: string): string {
  return `
listen=YES
listen_address=127.0.0.1
listen_port=${port}
background=NO
anonymous_enable=YES
no_anon_password=YES
anon_root=${files}
anon_upload_enable=YES
write_enable=YES
pasv_enable=NO
connect_from_port_20=NO
seccomp_sandbox=NO
secure_chroot_dir=${empty}
xferlog_enable=NO
`;
}
