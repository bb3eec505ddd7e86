/**
 * The names of the program's commands, for suggestions.
 *
 * @module
 */

/** The first argument, unless the server gets flags only. */
export const COMMAND_NAMES: readonly string[] = [
  "serve",
  "check",
  "connect",
  "forward",
  "bridge",
  "run",
  "sessions",
  "end",
  "users",
  "unlock",
  "drain",
  "help",
  "hash-password",
];
