/**
 * The texts of `--help` that are not about a single flag.
 *
 * @module
 */

import type { Section } from "./option.ts";

/** The first line of `--help`. */
export const TITLE = "socks5: a proxy for SOCKS4, SOCKS4a and SOCKS5";

/** How the program is called. */
export const USAGE = `\
Usage: socks5 [serve] [FLAGS]
       socks5 hash-password [--user NAME]
       socks5 check|connect|forward|bridge|run ...  (see: socks5 help tool)`;

/** The beginning of `--help` without a topic. */
export const BRIEF_INTRODUCTION = `\
Without flags it listens on 127.0.0.1:1080, for this machine, without a login.
SOCKS encrypts nothing: beyond this machine, use it in a tunnel (SSH, TLS, VPN).`;

/** The example of `--help` without a topic. */
export const BRIEF_EXAMPLE =
  "Example: socks5 --hostname 0.0.0.0 --users-file users.txt";

/** The beginning of `--help all`. */
export const INTRODUCTION = `\
Without flags, the server listens on 127.0.0.1:1080, serves only this machine,
and requires no login. SOCKS encrypts nothing: between a client on another
machine and the server, anyone on the network path can read and change logins
and data. Such clients should use a tunnel (SSH, a VPN).`;

/** Text below the flags of a section. */
export const NOTES: { readonly [section in Section]?: string } = {
  rules: `\
Without rules, clients may use any target. If the server listens beyond this
machine, its own addresses and special-purpose ones (private networks, ...) are
denied unless a rule names them: --allow 10.0.0.0/8. A rule may also choose the
route: via ADDRESSES (of this machine, or prefixes: 192.0.2.1,2001:db8::/64),
prefer ipv4|ipv6, through UPSTREAM|direct (an upstream of the --config file).
--deny @FILE refers to the names and networks in a file, one a line: a name,
*.SUFFIX (the names below), .SUFFIX (these and itself), an address or a block.
The file is read again on SIGHUP.`,
  limits: `\
RATE: bytes per second, such as 500k, 10M or 1.5GB, at most 2G. k, M and G are
decimal (10MB is 10,000,000 bytes); Ki, Mi and Gi are binary (10MiB is
10,485,760 bytes).`,
  config: `\
With --config - the server reads the file from its standard input, and paths in
it are relative to the working directory.`,
  output: `\
The log goes to the standard output, beginning with "socks5 listens on";
errors at the start go to the standard error. If the reader of the log is slow,
lines are dropped; the proxy never waits for it.

A session has a line at its end. As text:
  TIME OUTCOME CLIENT USER TARGET UP/DOWN DURATION [DETAILS]
The user is "-" without a login, and in parentheses if it is only claimed
(SOCKS4). The commands bind, udp, resolve and reverse are before the target. UP
are the bytes from the client, DOWN those to it. White space in names is
escaped.

These beginnings of the line of a failed login do not change:
  2026-11-03T10:22:31Z login-failed 192.0.2.7:50123 mallory -
  {"time":"2026-11-03T10:22:31.123Z","type":"session-end",
   "reason":"login-failed","client":{"hostname":"192.0.2.7","port":50123},
The JSON is on one line. An IPv6 client of a text line is in brackets.`,
  admin: `\
The commands sessions, end, users, unlock and drain speak to it ("socks5 help
tool"), and so does curl; GET /openapi.json describes the API:
  socks5 --admin unix:/run/socks5/admin.sock
  socks5 sessions --admin unix:/run/socks5/admin.sock
  curl --unix-socket /run/socks5/admin.sock http://localhost/sessions
On Deno, a Unix socket needs --allow-read and --allow-write, a token file
--allow-read.`,
};

/** A text of `--help` that is about no flags. */
export interface TextTopic {
  readonly name: string;
  readonly text: string;
}

/** The topics after the sections. */
export const TEXT_TOPICS: readonly TextTopic[] = [
  {
    name: "signals",
    text: `\
Signals: after SIGINT or SIGTERM and the drain delay, the server accepts no new
clients and gives its sessions the grace period to end; a second signal ends the
server at once.
SIGHUP reloads the files: new requests are subject to the new configuration, and
no session ends. If the files have errors, the old configuration stays in use.

Exit codes: 0 stopped by a signal, after its sessions; 1 cannot listen;
2 invalid flag, login or configuration; 3 the port is in use; 130, 143 stopped
by a second signal. --check: 0 or 2. --explain: 0 allowed, 1 not allowed,
2 invalid.`,
  },
  {
    name: "examples",
    text: `\
Examples:
  socks5
  curl --proxy socks5h://127.0.0.1:1080 https://example.com

  socks5 hash-password --user alice >> users.txt
  socks5 --hostname 0.0.0.0 --users-file users.txt
  curl --proxy socks5h://alice:PASSWORD@SERVER:1080 https://example.com

  socks5 --users-file users.txt --allow 'user alice *.example.com:443' \\
    --explain 'user alice www.example.com:443'`,
  },
  {
    name: "deno",
    text: `\
On Deno, the server needs --allow-net, --allow-read for files,
--allow-env=SOCKS5_USERS for the variable, --allow-sys=networkInterfaces to know
its own addresses, --allow-ffi for Kerberos, --allow-run for --auth-command, and
--allow-read and --allow-write for the folder of unix:PATH.`,
  },
];
