/**
 * `socks5-server hash-password`: makes a line for a users file.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { hashPassword } from "../../server/auth/password_hash.ts";
import { flagName, quote } from "../output/escape.ts";
import { EXIT } from "../failure.ts";
import { type Host, SIGNALS } from "../host/host.ts";
import { type Line, readLine, readSecrets } from "./secret_input.ts";
import { UsageError } from "../usage_error.ts";

/** What `hash-password --help` prints. */
export const HASH_PASSWORD_HELP = `\
Usage: socks5-server hash-password [--user NAME]

Asks for a password, twice and without showing it, and prints its hash. When the
standard input is no terminal, its first line is the password.

  --user NAME  Print NAME:HASH, which is a line of a users file
  -h, --help   This text

Example:
  socks5-server hash-password --user alice >> users.txt`;

/** As much as a client can send (RFC 1929). */
const LONGEST = 255;

/**
 * Runs the command with the arguments behind its name; gives the exit code.
 *
 * @throws {UsageError} when an argument is wrong.
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
    host.writeError(`socks5-server: ${password}\n`);
    return EXIT.failed;
  }
  const hash = await hashPassword(password);
  console.log(user === undefined ? hash : `${user}:${hash}`);
  return EXIT.ok;
}

function parseArguments(args: readonly string[]) {
  const refuse = (arg: string): never => {
    // It may be a password, and is not ours to repeat.
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
  if (length >= 1 && length <= LONGEST && isLine) return;
  throw new UsageError(
    `--user must be 1 to ${LONGEST} octets without ":" and control characters, ` +
      `without "#" in front and white space around it`,
  );
}

/** The password, what is wrong with it, or nothing after Ctrl-C. */
async function readPassword(
  host: Host,
): Promise<Uint8Array | string | undefined> {
  if (!host.input.isTerminal) return checkLength(await readLine(host));
  const lines = await readSecrets(host, ["Password: ", "Again: "]);
  if (lines.some((it) => it.type === "interrupted")) return undefined;
  const [first, again] = lines.map(octetsOf);
  if (first.length > 0 && !isEqual(first, again)) {
    return "the two passwords differ";
  }
  return checkLength(first);
}

function octetsOf(line: Line): Uint8Array {
  return line.type === "octets" ? line.octets : new Uint8Array();
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((octet, i) => octet === b[i]);
}

function checkLength(password: Uint8Array): Uint8Array | string {
  if (password.length === 0) return "no password was given";
  if (password.length <= LONGEST) return password;
  return `a password has at most ${LONGEST} octets (RFC 1929), ` +
    `this one has ${password.length}`;
}
