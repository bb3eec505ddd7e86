/**
 * The check of SOCKS4 user ids.
 *
 * @module
 */

import { REPLY4 } from "../../protocol/reply.ts";
import { decodeText } from "./name.ts";
import type { WordedName } from "./session_word.ts";

/** The checks that the user id of a SOCKS4 request must pass, in this order. */
export interface UserIdChecks {
  /** The allowed user ids. By default all. */
  readonly userIds?: readonly string[];
  /**
   * Verifies a user name, which may end with a session word if `mayHaveWord` is set. By
   * default every user id is right.
   */
  readonly verify?: (
    username: Uint8Array,
    mayHaveWord: boolean,
  ) => Promise<{ readonly ok?: boolean; readonly worded?: WordedName }>;
  /**
   * The user name that the client's machine reports, for example by {@linkcode askIdent}.
   * By default identd is not asked.
   */
  readonly ident?: () => Promise<string | undefined>;
  /** The parts of the user id, if it may be a name with a session word. */
  readonly worded?: WordedName;
}

/** The outcome of {@linkcode checkUserId}. */
export interface UserIdOutcome {
  /** The SOCKS4 reply. */
  readonly reply: number;
  /** The parts of the user id, if it is a name with a session word. */
  readonly worded?: WordedName;
}

/** A way to read a user id: as a name, or as a name with a session word. */
interface Reading {
  readonly name: string | undefined;
  readonly worded?: WordedName;
}

/**
 * The SOCKS4 reply to a user id: 5A if it passes; 5B if it is not on the list, is not
 * verified, or must be compared with text but is not UTF-8; 5C if identd reports no name;
 * 5D if identd reports another one. Identd comes last, so that a user id that is refused
 * anyway causes no connection. A name without a session word takes precedence.
 */
export async function checkUserId(
  userId: Uint8Array,
  { userIds, verify, ident, worded }: UserIdChecks,
): Promise<UserIdOutcome> {
  let readings: Reading[] = [{ name: decodeText(userId) }];
  if (worded) readings.push({ name: decodeText(worded.username), worded });
  if (userIds || ident) {
    readings = readings.filter(({ name }) => name !== undefined);
  }
  if (userIds) {
    readings = readings.filter(({ name }) => userIds.includes(name!));
  }
  if (readings.length === 0) return { reply: REPLY4.rejected };
  if (verify) {
    const [first, second] = readings;
    const given = first.worded?.username ?? userId;
    const outcome = await verify(given, second !== undefined);
    if (outcome.ok !== true) return { reply: REPLY4.rejected };
    readings = outcome.worded && second ? [second] : [first];
  }
  if (!ident) return { reply: REPLY4.granted, worded: readings[0].worded };
  const reported = await ident();
  if (reported === undefined) return { reply: REPLY4.noIdentd };
  const confirmed = readings.find(({ name }) => name === reported);
  return confirmed
    ? { reply: REPLY4.granted, worded: confirmed.worded }
    : { reply: REPLY4.identMismatch };
}
