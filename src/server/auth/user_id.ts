/**
 * The check of SOCKS4 user ids.
 *
 * @module
 */

import { REPLY4 } from "../../protocol/reply.ts";
import { decodeText } from "./name.ts";

/** The checks that the user id of a SOCKS4 request must pass, in this order. */
export interface UserIdChecks {
  /** The allowed user ids. By default all. */
  readonly userIds?: readonly string[];
  /** Verifies the user id. By default every user id is right. */
  readonly verify?: () => Promise<boolean | undefined>;
  /**
   * The user name that the client's machine reports, for example by {@linkcode askIdent}.
   * By default identd is not asked.
   */
  readonly ident?: () => Promise<string | undefined>;
}

/**
 * The SOCKS4 reply to a user id: 5A if it passes; 5B if it is not on the list, is not
 * verified, or must be compared with text but is not UTF-8; 5C if identd reports no name;
 * 5D if identd reports another one. Identd comes last, so that a user id that is refused
 * anyway causes no connection.
 */
export async function checkUserId(
  userId: Uint8Array,
  { userIds, verify, ident }: UserIdChecks,
): Promise<number> {
  const claimed = decodeText(userId);
  if ((userIds || ident) && claimed === undefined) return REPLY4.rejected;
  if (userIds && !userIds.includes(claimed!)) return REPLY4.rejected;
  if (verify && await verify() !== true) return REPLY4.rejected;
  if (!ident) return REPLY4.granted;
  const reported = await ident();
  if (reported === undefined) return REPLY4.noIdentd;
  return reported === claimed ? REPLY4.granted : REPLY4.identMismatch;
}
