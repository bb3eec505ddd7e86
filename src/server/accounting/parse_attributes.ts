/**
 * The attributes of users as text.
 *
 * @module
 */

import { parseCidr } from "../../protocol/cidr.ts";
import { parseBytes, parseRate } from "./parse_bytes.ts";
import type { Quota, UserAttributes } from "./user_attributes.ts";

/** How a value is read; `undefined` if it is malformed. */
type Parse<T> = (text: string) => T | undefined;

interface Row<T> {
  readonly parse: Parse<T>;
  /** A description of valid values. */
  readonly form: string;
}

/** The most sessions and the highest rate, as of the limits. */
const MAX = 2 ** 31 - 1;

const ROWS: {
  readonly [N in keyof Required<UserAttributes>]: Row<
    NonNullable<UserAttributes[N]>
  >;
} = {
  quota: {
    parse: parseQuota,
    form: "must be bytes a day or a month, such as 500MB/day or 50G/month",
  },
  until: {
    parse: parseUntil,
    form: "must be the last day (of UTC), such as 2026-12-31, or a time such " +
      "as 2026-12-31T18:00:00Z",
  },
  sessions: {
    parse: (text) => /^\d{1,10}$/.test(text) ? atMost(Number(text)) : undefined,
    form: `must be a whole number from 0 (no limit) to ${MAX}`,
  },
  rate: {
    parse: (text) => atMost(parseRate(text)),
    form: "must be bytes (not bits) per second such as 500k, 10MB or 10MiB, " +
      "at most 2G, or 0 (no limit)",
  },
  via: {
    parse: parseVia,
    form: "must be IP addresses and prefixes separated by commas, such as " +
      "192.0.2.1,2001:db8:1::/64",
  },
};

const NAMES = Object.keys(ROWS).join(", ");

/**
 * Parses attributes of the form `NAME=VALUE`, separated by spaces.
 *
 * @return The attributes, or the first problem, which contains no text of the values.
 */
export function parseAttributes(text: string): UserAttributes | string {
  const found: Record<string, unknown> = {};
  for (const word of text.split(/ +/).filter((it) => it !== "")) {
    const equals = word.indexOf("=");
    const name = word.slice(0, Math.max(equals, 0));
    if (!Object.hasOwn(ROWS, name)) {
      return `an unknown attribute after the hash (there are ${NAMES})`;
    }
    if (name in found) return `${name} is given twice`;
    const { parse, form } = ROWS[name as keyof typeof ROWS];
    found[name] = parse(word.slice(equals + 1));
    if (found[name] === undefined) return `${name} ${form}`;
  }
  return found;
}

function atMost(number: number | undefined): number | undefined {
  return number !== undefined && number <= MAX ? number : undefined;
}

function parseQuota(text: string): Quota | undefined {
  const [, amount, per] = /^(.*)\/(day|month)$/.exec(text) ?? [];
  const bytes = amount === undefined ? undefined : parseBytes(amount);
  if (!bytes || !Number.isSafeInteger(bytes)) return undefined;
  return { bytes, per: per as Quota["per"] };
}

const DAY = 86_400_000;
const TIME = /^(\d{4}-\d\d-\d\d)T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/;

/** A day lasts until the midnight after it. A time needs its zone. */
function parseUntil(text: string): number | undefined {
  const [, date = text] = TIME.exec(text) ?? [];
  const day = dayOf(date);
  if (day === undefined) return undefined;
  const time = text === date ? day + DAY : Date.parse(text);
  return Number.isNaN(time) ? undefined : time;
}

/** The start of a day that exists: some runtimes take the 30th of February for another. */
function dayOf(text: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return undefined;
  const day = Date.parse(`${text}T00:00:00Z`);
  if (Number.isNaN(day)) return undefined;
  return new Date(day).toISOString().startsWith(text) ? day : undefined;
}

function parseVia(text: string): readonly string[] | undefined {
  const list = text.split(",");
  return list.every((it) => parseCidr(it) !== undefined) ? list : undefined;
}
