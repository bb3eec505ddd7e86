/**
 * The flags and variables that follow from the table of options.
 *
 * @module
 */

import { COMMAND_FLAGS } from "./command_flags.ts";
import { OPTION_ENTRIES, type OptionEntry } from "./config.ts";
import type { Flag } from "./option.ts";

/** The environment variable with logins. */
export const USERS_VARIABLE = "SOCKS5_USERS";

/** A flag, or a variable of the environment, as `--help` lists it. */
export interface FlagEntry extends Flag {
  /** Without dashes. */
  readonly name: string;
  readonly isVariable: boolean;
  /** The placeholder of the value, such as `PORT`, in brackets if it is optional. */
  readonly placeholder?: string;
  /** Whether it may be given without a value. */
  readonly isSwitch: boolean;
  /** The option whose value it has, if it is in the form of the option's kind. */
  readonly entry?: OptionEntry;
}

/** The flags and variables of both tables, in the order of `--help` within each section. */
export const FLAG_ENTRIES: readonly FlagEntry[] = [
  ...OPTION_ENTRIES.flatMap((entry): FlagEntry[] => {
    const { option } = entry;
    const { kind, section, flag, alias, brief, givenBy = [] } = option;
    if (section === undefined) return []; // only files have it
    const others = givenBy.map((it) => toEntry({ ...it, section }));
    if (flag === undefined) return others;
    const description = option.help ?? option.description;
    const isRepeatable = kind.isList;
    const texts = { flag, alias, section, description, brief };
    return [{ ...toEntry({ ...texts, isRepeatable }), entry }, ...others];
  }),
  ...COMMAND_FLAGS.map(toEntry),
];

function toEntry(flag: Flag): FlagEntry {
  const parts = /^(-*)(\S+)(?: (.+))?$/.exec(flag.flag)!;
  const [, dashes, name, placeholder] = parts;
  const isSwitch = placeholder === undefined || /^\[\w+\]$/.test(placeholder);
  return { ...flag, name, isVariable: dashes === "", placeholder, isSwitch };
}

/** All flags. */
export const FLAGS: readonly FlagEntry[] = FLAG_ENTRIES.filter(
  ({ isVariable }) => !isVariable,
);

/** The names of all flags, without dashes and aliases. */
export const FLAG_NAMES: readonly string[] = FLAGS.map(({ name }) => name);
