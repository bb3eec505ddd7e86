/**
 * Among how many servers each limit is divided.
 *
 * @module
 */

import type { LimitName } from "./limit_table.ts";

/** The limit applies to each server alone. */
export const NOT_SHARED = 0;
/** It is not known how many servers share the limit, so that none has a share of its own. */
export const ANY_NUMBER = Infinity;

/** The number of servers by limit: {@linkcode NOT_SHARED}, {@linkcode ANY_NUMBER} or another. */
export type Sharing = Readonly<Record<LimitName, number>>;
