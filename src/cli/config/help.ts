/**
 * The text of `--help`.
 *
 * @module
 */

import { FLAG_ENTRIES, type FlagEntry } from "./flags.ts";
import { type Section, SECTIONS } from "./option.ts";

/** The column in which the descriptions of flags begin, and the number of columns. */
const MARGIN = 33;
const COLUMNS = 80;

const INTRODUCTION = `\
socks5: a proxy for SOCKS4, SOCKS4a and SOCKS5

Usage: socks5 [FLAGS]
       socks5 hash-password [--user NAME]

Without flags, the server listens on 127.0.0.1:1080, serves only this machine,
and requires no login. SOCKS encrypts nothing: between a client on another
machine and the server, anyone on the network path can read and change logins
and data. Such clients should use a tunnel (SSH, a VPN).`;

/** Text below the flags of a section. */
const NOTES: { readonly [section in Section]?: string } = {
  rules: `\
Without rules, clients may use any target. If the server listens beyond this
machine, its own addresses and special-purpose ones (private networks, ...) are
denied unless a rule names them: --allow 10.0.0.0/8. A rule may also choose the
route: via ADDRESS (of this machine), prefer ipv4|ipv6.`,
};

const CONCLUSION = `\
The log goes to the standard output, beginning with "socks5 listens on";
errors at the start go to the standard error. A line of text has the time, the
client, the user (in parentheses: only claimed), the command, the target, the
bytes up (from the client) and down, the duration, and how the session ended. If
the reader of the log is slow, lines are dropped; the proxy never waits for it.

Signals: after SIGINT or SIGTERM, the server accepts no new clients and gives
its sessions the grace period to end; a second signal ends the server at once.
SIGHUP reloads the files: new requests are subject to the new configuration, and
no session ends. If the files have errors, the old configuration stays in use.

Exit codes: 0 stopped by a signal, after its sessions; 1 cannot listen;
2 invalid flag, login or configuration; 3 the port is in use; 130, 143 stopped
by a second signal. --check: 0 or 2. --explain: 0 allowed, 1 not allowed,
2 invalid.

Examples:
  socks5
  curl --proxy socks5h://127.0.0.1:1080 https://example.com

  socks5 hash-password --user alice >> users.txt
  socks5 --hostname 0.0.0.0 --users-file users.txt
  curl --proxy socks5h://alice:PASSWORD@SERVER:1080 https://example.com

  socks5 --users-file users.txt --allow 'user alice *.example.com:443' \\
    --explain 'user alice www.example.com:443'

On Deno, the server needs --allow-net, --allow-read for files,
--allow-env=SOCKS5_USERS for the variable, and --allow-sys=networkInterfaces to
know its own addresses.`;

/** Returns the text of `--help`, at most 80 columns wide. */
export function helpText(): string {
  const sections = Object.entries(SECTIONS).map(([key, title]) => {
    const flags = FLAG_ENTRIES.filter(({ section }) => section === key);
    const note = NOTES[key as Section];
    const text = [`${title}:`, ...flags.map(flagText)].join("\n");
    return note === undefined ? text : `${text}\n\n${note}`;
  });
  return [INTRODUCTION, ...sections, CONCLUSION].join("\n\n");
}

function flagText({ flag, alias, description, entry }: FlagEntry): string {
  const isShort = alias?.length === 1;
  const usage = `  ${isShort ? `-${alias}, ` : ""}${flag}`;
  const indent = " ".repeat(MARGIN - 1);
  const lines = usage.length < MARGIN
    ? [usage.padEnd(MARGIN - 1)]
    : [usage, indent];
  const words = description.split(" ");
  if (alias && !isShort) words.push("Alias:", `--${alias}.`);
  const fallback = entry?.option.default;
  // A switch is off unless it is given.
  if (fallback !== undefined && fallback !== false) {
    words.push(words.pop()!.replace(/\.$/, ""), `(default ${fallback})`);
  }
  for (const word of words) {
    if (lines.at(-1)!.length + 1 + word.length > COLUMNS) lines.push(indent);
    lines[lines.length - 1] += ` ${word}`;
  }
  return lines.join("\n");
}
