/**
 * Loads the accounting of a server that needs it.
 *
 * @module
 */

import type { Accountant } from "./accounting/accountant.ts";
import type { CurrentAttributes } from "./accounting/current_attributes.ts";
import type { ServerEvent } from "./events.ts";
import type { Settings } from "./settings.ts";

/** Opens an accountant if users are to be counted. */
export async function openAccountant(
  { accounting, userAttributes, clock }: Settings,
  attributes: CurrentAttributes,
  emit: ((event: ServerEvent) => void) | undefined,
): Promise<Accountant | undefined> {
  const { store, interval } = accounting;
  if (!userAttributes && interval === 0) return undefined;
  // Loaded lazily: most servers count nothing.
  const { Accountant } = await import("./accounting/accountant.ts");
  return new Accountant({
    store: store ?? await newStore(),
    interval,
    attributes,
    clock,
    onError: (error) => emit?.({ type: "limits-error", error }),
  });
}

async function newStore() {
  const { LocalUsageStore } = await import("./accounting/local_usage_store.ts");
  return new LocalUsageStore();
}
