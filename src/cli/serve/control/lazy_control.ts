/**
 * {@linkcode ServerControl} that is loaded when it is used: most servers have no Admin API.
 *
 * @module
 */

import type { ServerControl } from "./control.ts";
import type { LocalControlOptions } from "./local_control.ts";

/** Controls one server. */
export function lazyControl(options: LocalControlOptions): ServerControl {
  let loaded: Promise<ServerControl> | undefined;
  const load = async () =>
    (await import("./local_control.ts")).localControl(options);
  const control = () => loaded ??= load();
  return {
    counters: async () => (await control()).counters(),
    sessions: async (query) => (await control()).sessions(query),
    end: async (filter) => (await control()).end(filter),
    users: async () => (await control()).users(),
    lockouts: async () => (await control()).lockouts(),
    unlock: async (client) => (await control()).unlock(client),
  };
}
