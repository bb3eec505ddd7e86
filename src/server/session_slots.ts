/**
 * The limits that a session meets after its login, whose slots a shared store may grant.
 *
 * @module
 */

import { NetError, toNetError } from "../transport/errors.ts";
import type { AbortSwitch } from "../transport/signal.ts";
import { clientKey } from "./client_key.ts";
import type { Session } from "./events.ts";
import { answerInTime } from "./limits/answer_in_time.ts";
import {
  type CommandLimit,
  LIMITS,
  type LoginLimit,
} from "./limits/limit_table.ts";
import type { CommandLimits } from "./limits/server_limits.ts";
import type { Settings } from "./settings.ts";

/** A session that acquires slots. */
export interface SlotHolder extends Pick<Session, "client" | "user"> {
  readonly settings: Settings;
  /** Aborts when the session is closed. */
  readonly stopping: AbortSwitch;
}

/** Acquires a slot for a command. Resolves with an error if there is none. */
export function acquireSlot(
  session: SlotHolder,
  limits: CommandLimits,
  name: CommandLimit,
): Promise<NetError | undefined> {
  const limit = limits[name];
  const key = keyOf(session, name);
  const discard = (late: boolean) => late && limit.release(key);
  return slotError(session, name, limit.acquire(key), discard);
}

/** Releases a slot that was acquired. */
export function releaseSlot(
  session: SlotHolder,
  limits: CommandLimits,
  name: CommandLimit,
): void {
  limits[name].release(keyOf(session, name));
}

function keyOf({ client, user }: SlotHolder, name: CommandLimit): string {
  return LIMITS[name].scope === "client"
    ? clientKey(client.hostname)
    : user ?? "";
}

/**
 * Resolves with an error if a slot is not acquired. A shared store may take as long
 * as the handshake timeout to answer.
 */
export async function slotError(
  { settings, stopping: signal }: SlotHolder,
  name: CommandLimit | LoginLimit,
  acquired: boolean | Promise<boolean>,
  discard?: (late: boolean) => void,
): Promise<NetError | undefined> {
  try {
    if (typeof acquired !== "boolean") {
      const { clock, timeouts: { handshake: timeout } } = settings;
      const wait = { clock, timeout, signal, discard };
      acquired = await answerInTime(acquired, wait);
    }
    if (acquired) return undefined;
    return new NetError("denied", LIMITS[name].rejection);
  } catch (error) {
    return toNetError(error);
  }
}
