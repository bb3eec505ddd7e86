/**
 * `socks5 hash-password`: prints the hash of a password, for a users file.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { hashPassword } from "../../server/auth/password_hash.ts";
import { problemOfLine } from "../../server/auth/text_lines.ts";
import { EXIT } from "../failure.ts";
import { type Host, SIGNALS } from "../host/host.ts";
import { flagName, quote } from "../output/escape.ts";
import { UsageError } from "../usage_error.ts";
import { type Ask, type Line, readLine, withSecrets } from "./secret_input.ts";

/** The text of `hash-password --help`. */
export const HASH_PASSWORD_HELP = `\
Usage: socks5 hash-password [--user NAME]

Asks for a password, twice and without showing it, and prints its hash. If the
two differ, it asks again, up to three times. If the standard input is not a
terminal, its first line is the password. It may have no control characters.

  --user NAME  Print NAME:HASH, a line of a users file
  -h, --help   Print this help, and exit

Example:
  socks5 hash-password --user alice >> users.txt`;

/** The maximum length of a name and of a password, in bytes (RFC 1929 section 2). */
const MAX_LENGTH = 255;

/**
 * Runs the command with the arguments after its name, and returns the exit code.
 *
 * @throws {UsageError} if an argument is invalid.
 */
export async function hashPasswordCommand(
  host: Host,
  args: readonly string[],
): Promise<number> {
  const { help, user } = parseArguments(args);
  if (help) {
    console.log(HASH_PASSWORD_HELP);
    return EXIT.ok;
  }
  const password = await readPassword(host);
  if (password === undefined) return 128 + SIGNALS.SIGINT;
  if (typeof password === "string") {
    host.writeError(`socks5: ${password}\n`);
    return EXIT.failed;
  }
  const hash = await hashPassword(password);
  console.log(user === undefined ? hash : `${user}:${hash}`);
  return EXIT.ok;
}

function parseArguments(args: readonly string[]) {
  const refuse = (arg: string): never => {
    // The argument may be a password, which must not be shown.
    const name = flagName(arg);
    throw new UsageError(
      `hash-password takes only --user NAME, not ${
        name ? quote(name) : "another argument; it asks for the password"
      }`,
    );
  };
  const { help, user, _ } = parseArgs([...args], {
    boolean: ["help"],
    string: ["user"],
    collect: ["user"],
    alias: { help: "h" },
    unknown: refuse,
  });
  if (_.length > 0) refuse(String(_[0]));
  if (user.length > 1) throw new UsageError("--user is given twice");
  for (const name of user) checkName(name);
  return { help, user: user.at(0) };
}

function checkName(name: string): void {
  const { length } = new TextEncoder().encode(name);
  const isLine = name === name.trim() && !/^#|[:\p{Cc}]/u.test(name);
  if (length >= 1 && length <= MAX_LENGTH && isLine) return;
  throw new UsageError(
    `--user must be 1 to ${MAX_LENGTH} bytes without ":" and control characters, ` +
      `without a leading "#" and without surrounding white space`,
  );
}

/** How often it asks for a password on a terminal. */
const ATTEMPTS = 3;

/** Returns the password, the problem with it as text, or `undefined` after Ctrl-C. */
async function readPassword(
  host: Host,
): Promise<Uint8Array | string | undefined> {
  if (!host.input.isTerminal) return checkPassword(await readLine(host));
  return await withSecrets(host, async (ask) => {
    for (let attempt = 1;; attempt++) {
      const typed = await askTwice(ask);
      if (typed === "not repeated") return "the password was not repeated";
      if (typed !== "differ") return typed && checkPassword(typed);
      if (attempt === ATTEMPTS) return "the two passwords differ";
      host.writeError("The two passwords differ, once more.\r\n");
    }
  });
}

/** Returns `undefined` after Ctrl-C. An empty password is not asked for again. */
async function askTwice(
  ask: Ask,
): Promise<Uint8Array | "differ" | "not repeated" | undefined> {
  const first = await ask("Password: ");
  if (first.type === "interrupted") return undefined;
  const bytes = bytesOf(first);
  if (bytes.length === 0) return bytes;
  const again = await ask("Again: ");
  if (again.type === "interrupted") return undefined;
  if (again.type === "ended") return "not repeated";
  return isEqual(bytes, again.bytes) ? bytes : "differ";
}

function bytesOf(line: Line): Uint8Array {
  return line.type === "line" ? line.bytes : new Uint8Array();
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function checkPassword(password: Uint8Array): Uint8Array | string {
  if (password.length === 0) return "no password was given";
  // Bytes that are not UTF-8 decode to characters that pass.
  const problem = problemOfLine(new TextDecoder().decode(password));
  if (problem) return `the password has ${problem}`;
  if (password.length <= MAX_LENGTH) return password;
  return `a password has at most ${MAX_LENGTH} bytes (RFC 1929), ` +
    `this one has ${password.length}`;
}
