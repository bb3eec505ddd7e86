/**
 * The flags that are not options.
 *
 * @module
 */

import type { Flag } from "./option.ts";

/** The flags that are not options. `--help` lists them after the options of their section. */
export const COMMAND_FLAGS: readonly Flag[] = [
  {
    flag: "--explain QUESTION",
    section: "rules",
    description: "Print the decision of the rules, and exit: " +
      "[COMMAND] [user USER] HOST:PORT [from ADDRESS]",
  },
  {
    flag: "--config FILE",
    brief: "JSON file of all options; - for standard input",
    section: "config",
    description:
      "JSON file, in which comments are allowed; --schema prints its schema. - " +
      "stands for the standard input. " +
      "Flags take precedence over it; logins and rules are merged, the rules of " +
      "flags first.",
  },
  {
    flag: "--check",
    section: "config",
    description: "Check flags and files, and exit",
  },
  {
    flag: "--schema",
    section: "config",
    description: "Print the JSON Schema of a configuration file, and exit",
  },
  {
    flag: "--fail2ban",
    section: "output",
    description:
      "Print a filter for fail2ban, which finds failed logins in this log, and exit",
  },
  {
    flag: "--help [TOPIC]",
    alias: "h",
    brief: "Print this, or the help of a topic",
    section: "config",
    description:
      "Print the most important flags, all of them (--help all), or those of a " +
      "topic, and exit",
  },
  {
    flag: "--version",
    alias: "V",
    brief: "Print the version",
    section: "config",
    description: "Print the version, and exit",
  },
];
