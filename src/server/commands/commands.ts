/**
 * All commands by their names.
 *
 * @module
 */

import type { CommandName } from "../events.ts";
import { bind } from "./bind.ts";
import type { Command } from "./command.ts";
import { connect } from "./connect.ts";
import { forward } from "./forward.ts";
import { resolveName, resolvePtr } from "./resolve.ts";
import { udpAssociate } from "./udp_associate.ts";

/** The commands that sessions run. */
export const COMMANDS: Readonly<Record<CommandName, Command>> = {
  connect,
  forward,
  bind,
  "udp-associate": udpAssociate,
  resolve: resolveName,
  "resolve-ptr": resolvePtr,
};
