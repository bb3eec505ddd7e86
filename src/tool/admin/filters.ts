/**
 * The filters of sessions on the command line.
 *
 * @module
 */

import { FILTERS } from "../../cli/admin/query.ts";
import type { Flag } from "../args/flags.ts";
import type { Arguments } from "../args/parse.ts";
import type { Parameters } from "./client.ts";

const TEXTS: Readonly<
  Record<typeof FILTERS[number], readonly [value: string, text: string]>
> = {
  user: ["NAME", "Only sessions of this user"],
  client: ["ADDRESS[:PORT]", "Only sessions of this client"],
  target: ["HOST[:PORT]", "Only sessions with this target"],
  command: ["NAME", "Only connect, forward, bind, udp-associate or resolve"],
  phase: ["NAME", "Only handshake, dial, bind or relay"],
  text: ["TEXT", "Only sessions with this in the user, client or target"],
};

/** The flags. */
export const FILTER_FLAGS: readonly Flag[] = FILTERS.map((name) => {
  const [value, text] = TEXTS[name];
  return { name, value, text };
});

/** The filters that are given. */
export function readFilters(args: Arguments): Parameters {
  return Object.fromEntries(FILTERS.map((it) => [it, args.value(it)]));
}
