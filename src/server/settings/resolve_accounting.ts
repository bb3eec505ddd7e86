/**
 * Checks the option `accounting`.
 *
 * @module
 */

import { checkKeys } from "../../transport/check_keys.ts";
import type { AccountingOptions } from "../accounting/accounting_options.ts";
import type { UsageStore } from "../accounting/usage_store.ts";
import { OptionError } from "../option_error.ts";
import { whole } from "./whole.ts";

/** How a server counts. */
export interface AccountingSettings {
  readonly store: UsageStore | undefined;
  /** In milliseconds; 0 = at the end of sessions. */
  readonly interval: number;
}

/** Without the option, sessions are not looked at between their beginning and their end. */
export function resolveAccounting(
  given: AccountingOptions | undefined,
): AccountingSettings {
  checkKeys(given ?? {}, ["store", "interval"], "accounting");
  const { store, interval = given ? 60_000 : 0 } = given ?? {};
  if (store !== undefined && typeof store?.add !== "function") {
    const text = "accounting.store must have a method add()";
    throw new OptionError("accounting.store", text);
  }
  return { store, interval: whole("accounting.interval", interval) };
}
