/**
 * The header sections of HTTP/1.x messages (RFC 9112 section 2).
 *
 * @module
 */

import { ProtocolError } from "./decode.ts";

/** The size of the longest header section in octets, its last line included. */
export const MAX_HEAD = 16 * 1024;

const TAB = 0x09;
/** Line feed. */
export const LF = 0x0a;
/** Carriage return. */
export const CR = 0x0d;
const SPACE = 0x20;
const DELETE = 0x7f;

/** A complete line. */
interface Line {
  /** Where its text ends. */
  readonly end: number;
  /** Where the next line begins. */
  readonly next: number;
}

/**
 * Finds the end of the line that begins at `start`. Returns `undefined` if it has not
 * arrived; a later call with more octets may then skip those up to `seen`.
 *
 * RFC 9112 section 2.2: "Although the line terminator for the start-line and fields is
 * the sequence CRLF, a recipient MAY recognize a single LF as a line terminator and
 * ignore any preceding CR." `allowsLf` says whether this one does.
 *
 * @throws {ProtocolError} `"header"` at a control character (RFC 9110 section 5.5),
 * which a CR without LF is as well; `"size"` at octet {@linkcode MAX_HEAD} of the input.
 */
export function findLine(
  octets: Uint8Array,
  start: number,
  allowsLf: boolean,
  seen: number = start,
): Line | undefined {
  const limit = Math.min(octets.length, MAX_HEAD);
  for (let at = seen; at < limit; at++) {
    const octet = octets[at];
    const hasCr = at > start && octets[at - 1] === CR;
    if (octet === LF && (hasCr || allowsLf)) {
      return { end: hasCr ? at - 1 : at, next: at + 1 };
    }
    if (hasCr || octet !== CR && isControl(octet)) {
      throw new ProtocolError(
        "header",
        "a control character in an HTTP header",
      );
    }
  }
  if (octets.length < MAX_HEAD) return undefined;
  throw new ProtocolError(
    "size",
    `an HTTP header has more than ${MAX_HEAD} octets`,
  );
}

/**
 * Finds the end of the header section: the octet after the first empty line at or after
 * `start`. Returns and throws as {@linkcode findLine} does.
 */
export function findHeadEnd(
  octets: Uint8Array,
  start: number,
  allowsLf: boolean,
): number | undefined {
  while (true) {
    const line = findLine(octets, start, allowsLf);
    if (!line || line.end === start) return line?.next;
    start = line.next;
  }
}

/** Whether an octet is a control character, CR and LF included, but not a tab. */
export function isControl(octet: number): boolean {
  return octet < SPACE && octet !== TAB || octet === DELETE;
}

/**
 * The octets as text, one character each: "A recipient MUST parse an HTTP message as a
 * sequence of octets in an encoding that is a superset of US-ASCII" (RFC 9112 section
 * 2.2).
 */
export function headText(
  octets: Uint8Array,
  start: number,
  end: number,
): string {
  return String.fromCharCode(...octets.subarray(start, end));
}

/** `token ":" OWS field-value OWS` (RFC 9112 section 5), the white space not yet removed. */
const FIELD = /^([\w!#$%&'*+.^`|~-]+):(.*)$/;

/** The name and the value of a field, as they were sent. */
export type Field = readonly [name: string, value: string];

/** The fields of a header section by their names in lower case, each with its values. */
export type Fields = ReadonlyMap<string, readonly string[]>;

/**
 * Parses the lines after the first line of a header section, in their order.
 *
 * @throws {ProtocolError} `"header"` if a line is no field. That includes white space
 * before a colon (RFC 9112 section 5.1: "A server MUST reject") and folded lines
 * (section 5.2: a server "MUST either reject the message by sending a 400 (Bad
 * Request)" or replace them).
 */
export function parseFieldLines(text: string): Field[] {
  const fields: Field[] = [];
  for (const line of text.split(/\r?\n/)) {
    if (line === "") continue;
    const [, name, value] = FIELD.exec(line) ?? [];
    if (name === undefined) {
      throw new ProtocolError(
        "header",
        "a line of an HTTP header is no field",
      );
    }
    fields.push([name, withoutBlanks(value)]);
  }
  return fields;
}

/** The values of fields by their names in lower case. */
export function fieldsByName(lines: readonly Field[]): Fields {
  const fields = new Map<string, string[]>();
  for (const [name, value] of lines) {
    const key = name.toLowerCase();
    const values = fields.get(key);
    if (values) values.push(value);
    else fields.set(key, [value]);
  }
  return fields;
}

/** A regular expression would take quadratic time, and `trim()` removes other octets, too. */
function withoutBlanks(value: string): string {
  let start = 0;
  let end = value.length;
  while (start < end && isBlank(value[start])) start++;
  while (start < end && isBlank(value[end - 1])) end--;
  return value.slice(start, end);
}

function isBlank(character: string): boolean {
  return character === " " || character === "\t";
}

/** The head of a request. */
export interface RequestHead<Line> {
  /** The first line. */
  readonly line: Line;
  /** The fields in their order, and by name. */
  readonly lines: readonly Field[];
  readonly fields: Fields;
  /** The length in octets, with the empty line. */
  readonly size: number;
}

/**
 * Decodes the head of a request; returns `undefined` if it is incomplete. The first line is
 * parsed as soon as it is there.
 */
export function decodeRequestHead<Line>(
  octets: Uint8Array,
  parseLine: (text: string) => Line,
): RequestHead<Line> | undefined {
  const first = findLine(octets, 0, false);
  if (!first) return undefined;
  const line = parseLine(headText(octets, 0, first.end));
  const size = findHeadEnd(octets, first.next, false);
  if (size === undefined) return undefined;
  const lines = parseFieldLines(headText(octets, first.next, size));
  return { line, lines, fields: fieldsByName(lines), size };
}
