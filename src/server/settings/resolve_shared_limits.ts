/**
 * Checks the option `sharedLimits`.
 *
 * @module
 */

import { checkKeys } from "../../transport/check_keys.ts";
import type { SharedLimitsStore } from "../cluster/store.ts";
import { LIMIT_NAMES, type LimitName } from "../limits/limit_table.ts";
import { ANY_NUMBER, NOT_SHARED, type Sharing } from "../limits/sharing.ts";
import { OptionError } from "../option_error.ts";
import type { SharedLimits } from "../options.ts";
import { whole } from "./whole.ts";

/** {@linkcode SharedLimits}, checked. */
export interface SharingSettings {
  readonly store: SharedLimitsStore;
  readonly servers: Sharing;
}

const STORE_METHODS = [
  "acquire",
  "release",
  "forceAcquire",
  "pass",
  "cancel",
] as const satisfies readonly (keyof SharedLimitsStore)[];

/** Returns for each limit how it is shared. */
export function resolveSharedLimits(
  given: SharedLimits | undefined,
): SharingSettings | undefined {
  if (!given) return undefined;
  const { store } = given;
  checkKeys(given, ["store", "servers", "limits", "exact"], "sharedLimits");
  const missing = STORE_METHODS.find((it) => typeof store?.[it] !== "function");
  if (missing) {
    throw new OptionError(
      "sharedLimits.store",
      `sharedLimits.store must have a method ${missing}()`,
    );
  }
  const servers = given.servers === undefined
    ? ANY_NUMBER
    : whole("sharedLimits.servers", given.servers, { min: 1 });
  const { limits = LIMIT_NAMES, exact = [] } = given;
  checkLimitNames("limits", limits);
  checkLimitNames("exact", exact);
  const entries = LIMIT_NAMES.map((name) => [
    name,
    !limits.includes(name)
      ? NOT_SHARED
      : exact.includes(name)
      ? ANY_NUMBER
      : servers,
  ]);
  return { store, servers: Object.fromEntries(entries) as Sharing };
}

function checkLimitNames(
  option: "limits" | "exact",
  names: readonly LimitName[],
): void {
  const name = `sharedLimits.${option}`;
  if (!Array.isArray(names)) {
    throw new OptionError(name, `${name} must be a list of limits`);
  }
  const unknown = names.find((it) => !LIMIT_NAMES.includes(it));
  if (unknown === undefined) return;
  throw new OptionError(name, `${name} has no limit ${String(unknown)}`);
}
