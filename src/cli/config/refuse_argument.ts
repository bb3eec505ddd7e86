/**
 * The errors for arguments that the program does not have.
 *
 * @module
 */

import { nearest } from "../../transport/check_keys.ts";
import { flagName, mayBeLogin, quote } from "../output/escape.ts";
import { UsageError } from "../usage_error.ts";
import { COMMAND_NAMES } from "./command_names.ts";
import { FLAG_NAMES } from "./flag_table.ts";
import { FOREIGN_FLAGS } from "./foreign_flags.ts";

const SEE = "(--help all lists all flags)";

/**
 * Refuses an argument, and says what to write in its place.
 *
 * @param mayShow Whether an argument that is not a flag may be repeated. It may be the
 * rest of a password that has a space.
 * @throws {UsageError} always.
 */
export function refuseArgument(arg: string, mayShow = true): never {
  if (!/^-./s.test(arg)) {
    throw new UsageError(
      `unexpected argument ${wordText(arg, mayShow)} ${SEE}`,
    );
  }
  const name = flagName(arg) ?? numberedFlag(arg);
  if (name !== undefined) {
    throw new UsageError(`unknown flag ${name}${adviceOn(name)} ${SEE}`);
  }
  throw new UsageError(
    'unknown flag, or a value that begins with "-" and must be written as ' +
      `--FLAG=VALUE ${SEE}`,
  );
}

/** The flag of `-p1080` and `-i0.0.0.0`. Other text after a letter may be a password. */
function numberedFlag(arg: string): string | undefined {
  return /^(-[a-z])[\d.]+$/i.exec(arg)?.[1];
}

function adviceOn(name: string): string {
  const foreign = FOREIGN_FLAGS.get(name);
  if (foreign !== undefined) return `: ${foreign}`;
  const meant = /^--(?!no-)/.test(name)
    ? nearest(name, FLAG_NAMES.map((it) => `--${it}`))
    : undefined;
  return meant === undefined ? "" : `: did you mean ${meant}?`;
}

function wordText(word: string, mayShow: boolean): string {
  if (!mayShow) return "in addition to --user NAME:PASSWORD";
  if (mayBeLogin(word)) return 'with ":": logins are given by --user';
  const meant = FLAG_NAMES.includes(word)
    ? `--${word}`
    : /^\d{1,5}$/.test(word)
    ? `--port ${word}`
    : nearest(word, COMMAND_NAMES);
  return meant === undefined
    ? quote(word)
    : `${quote(word)}: did you mean ${meant}?`;
}
