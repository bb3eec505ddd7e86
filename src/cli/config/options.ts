/**
 * The options of the program. To add one, add a row to the table of its subject, in
 * `options/`: the flag, `--help`, the configuration file and its JSON Schema, the type
 * `Config`, the merging of flags and file, and the report of a reload follow from it.
 *
 * @module
 */

import { text } from "./kinds.ts";
import { option, type OptionTable } from "./option.ts";
import { LISTENING } from "./options/listening.ts";
import { LOGIN } from "./options/login.ts";
import { POLICY } from "./options/policy.ts";
import { UPSTREAM } from "./options/upstream.ts";
import { RELAY } from "./options/relay.ts";
import { TIMEOUTS } from "./options/timeouts.ts";
import { LIMITS } from "./options/limits.ts";
import { OPERATION } from "./options/operation.ts";

/**
 * The options, by their keys in a configuration file. Within each section,
 * `--help` lists them in this order. Those with `brief` are on its first screen.
 */
export const OPTIONS = {
  $schema: option(text(), {
    usedBy: "load",
    description: "Location of the JSON Schema, for editors",
  }),
  ...LISTENING,
  ...LOGIN,
  ...POLICY,
  ...UPSTREAM,
  ...RELAY,
  ...TIMEOUTS,
  ...LIMITS,
  ...OPERATION,
} satisfies OptionTable;
