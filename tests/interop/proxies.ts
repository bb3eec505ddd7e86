/**
 * Foreign SOCKS and HTTP servers, and our own on every runtime, for tests of the client.
 *
 * @module
 */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ProxyConfig, SocksErrorCode } from "../../src/client/mod.ts";
import {
  missing,
  missingForRoot,
  type Program,
  start,
  withFolder,
  withListening,
} from "./programs.ts";
import { missingRuntime, runtimes, withProgramOn } from "./runtimes.ts";
import { withSshd } from "./sshd.ts";

/** A login for a server. */
export interface Login {
  readonly username: string;
  readonly password: string;
}

/** The login of most servers that require one. */
export const LOGIN: Login = { username: "alice", password: "correct horse" };
/** The login of tinyproxy, whose passwords have no spaces. */
const HTTP_LOGIN: Login = { username: "alice", password: "horse" };

/** A server that can be started. */
export interface ProxyKind {
  readonly name: string;
  /** The protocols that it speaks; the first one is used if a test needs only one. */
  readonly protocols: readonly ProxyConfig["protocol"][];
  /** The login that it requires. */
  readonly login?: Login;
  /**
   * Whether it ends both directions at the first FIN, and stalls when the buffers of
   * both directions are full.
   */
  readonly oneWay?: true;
  /**
   * Its reply when another peer than the expected one connects to a BIND. If missing, it
   * continues to wait for the expected one.
   */
  readonly wrongPeer?: number;
  /** Whether it supports BIND and UDP ASSOCIATE. */
  readonly commands?: true;
  /** The error of a client without the login; by default `no-method`. */
  readonly withoutLogin?: SocksErrorCode;
  /** Its reply when the target refuses; if missing, it closes the connection. */
  readonly refusal?: number;
  /** Why it cannot run here. */
  readonly skip: string | undefined;
  /** Starts the server, runs `use` with its port, and stops the server. */
  run(use: (port: number) => Promise<void>): Promise<void>;
}

/** All foreign servers. */
export const proxyKinds: readonly ProxyKind[] = [
  {
    name: "danted",
    protocols: ["socks5h", "socks5", "socks4"],
    refusal: 5,
    commands: true,
    wrongPeer: 2,
    skip: missingForRoot("danted"),
    run: (use) => withDanted("none", use),
  },
  {
    name: "danted with a login",
    protocols: ["socks5h"],
    login: LOGIN,
    refusal: 5,
    commands: true,
    wrongPeer: 2,
    skip: missingForRoot("danted", "unshare", "mount"),
    run: (use) => withDanted("username", use),
  },
  {
    name: "microsocks",
    protocols: ["socks5h", "socks5"],
    oneWay: true,
    refusal: 5,
    skip: missing("microsocks"),
    run: (use) => withMicrosocks([], use),
  },
  {
    name: "microsocks with a login",
    protocols: ["socks5h"],
    login: LOGIN,
    oneWay: true,
    refusal: 5,
    skip: missing("microsocks"),
    run: (use) =>
      withMicrosocks(["-u", LOGIN.username, "-P", LOGIN.password], use),
  },
  {
    name: "ssh -D",
    protocols: ["socks5h", "socks5", "socks4a", "socks4"],
    skip: missing("ssh", "sshd", "ssh-keygen"),
    run: withSshD,
  },
  {
    name: "tinyproxy",
    protocols: ["http"],
    oneWay: true,
    refusal: 500,
    skip: missing("tinyproxy"),
    run: (use) => withTinyproxy(undefined, use),
  },
  {
    name: "tinyproxy with a login",
    protocols: ["http"],
    login: HTTP_LOGIN,
    withoutLogin: "login-failed",
    oneWay: true,
    refusal: 500,
    skip: missing("tinyproxy"),
    run: (use) => withTinyproxy(HTTP_LOGIN, use),
  },
];

/** Our server as a program on each runtime. Test files have to import `server_program.ts` first. */
export const ownKinds: readonly ProxyKind[] = runtimes.map((name) => ({
  name: `our server on ${name}`,
  protocols: ["socks5h", "socks5", "socks4a", "socks4"],
  refusal: 5,
  commands: true,
  skip: missingRuntime(name),
  run: (use) =>
    withProgramOn(name, "server", async ([command, ...args]) => {
      const isReady = ({ stdout }: Program) => stdout.endsWith("\n");
      const program = await start(command, args, isReady);
      try {
        await use(Number(program.stdout));
      } finally {
        await program.stop();
      }
    }),
}));

function withMicrosocks(
  login: string[],
  use: (port: number) => Promise<void>,
): Promise<void> {
  const argsFor = (port: number) => [
    ...["-i", "127.0.0.1", "-p", `${port}`],
    ...login,
  ];
  return withListening("microsocks", argsFor, use);
}

function withTinyproxy(
  login: Login | undefined,
  use: (port: number) => Promise<void>,
): Promise<void> {
  return withFolder(async (folder) => {
    const config = join(folder, "tinyproxy.conf");
    const argsFor = async (port: number) => {
      const lines = ["Listen 127.0.0.1", `Port ${port}`, "Timeout 60"];
      if (login) lines.push(`BasicAuth ${login.username} ${login.password}`);
      await writeFile(config, `${lines.join("\n")}\n`);
      return ["-d", "-c", config];
    };
    await withListening("tinyproxy", argsFor, use);
  });
}

function withSshD(use: (port: number) => Promise<void>): Promise<void> {
  return withSshd(({ ssh }) => {
    const argsFor = (port: number) => ["-N", "-D", `127.0.0.1:${port}`, ...ssh];
    return withListening("ssh", argsFor, use);
  });
}

/** The output of `openssl passwd -6 -salt interop 'correct horse'`. */
const SHADOW = "$6$interop$SA27CQnjhyZ8nbkeBh/euiWGEMLWsdFLvleXeFGmLDMjRZeqT" +
  ".Xq94dVMYxOAMHdmmJ/bmGpV9vxPlDRtRKP5.";

/**
 * Dante accepts the logins of the system's users. It gets other files of users, by
 * mounts in a namespace of its own, so that the system needs no user for the tests.
 */
const WITH_USERS = `
mount --bind "$0/passwd" /etc/passwd &&
mount --bind "$0/shadow" /etc/shadow &&
exec "$@"`;

function withDanted(
  method: "none" | "username",
  use: (port: number) => Promise<void>,
): Promise<void> {
  return withFolder(async (folder) => {
    const config = join(folder, "danted.conf");
    await writeFile(
      join(folder, "passwd"),
      "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n" +
        `${LOGIN.username}:x:65533:65534::/:/bin/false\n`,
    );
    await writeFile(
      join(folder, "shadow"),
      `root:*:::::::\nnobody:*:::::::\n${LOGIN.username}:${SHADOW}:::::::\n`,
    );
    const danted = ["danted", "-f", config];
    const [command, ...args] = method === "none" ? danted : [
      ...["unshare", "--mount", "sh", "-c", WITH_USERS, folder],
      ...danted,
    ];
    const argsFor = async (port: number) => {
      await writeFile(config, danteConfig(port, method));
      return args;
    };
    await withListening(command, argsFor, use);
  });
}

function danteConfig(port: number, method: string): string {
  return `
logoutput: stderr
internal: 127.0.0.1 port = ${port}
external.protocol: ipv4 ipv6
external: lo
clientmethod: none
socksmethod: ${method}
user.privileged: root
user.unprivileged: nobody
client pass { from: 127.0.0.0/8 to: 0/0 }
socks pass { from: 0/0 to: 0/0 }
`;
}
