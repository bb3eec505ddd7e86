/**
 * The fields of messages that a proxy forwards, and those of them that say where a message
 * ends (RFC 9110 section 7.6.1, RFC 9112 section 6).
 *
 * @module
 */

import { type BodyLength, tooLarge } from "./http_body.ts";
import { HttpError, malformed } from "./http_error.ts";
import type { Field, Fields } from "./http_head.ts";

/**
 * The length of a message's content by its fields; `undefined` if they announce none.
 *
 * @throws {ProtocolError} `"header"` if recipients may disagree about it.
 */
export function announcedLength(
  fields: Fields,
  isHttp11: boolean,
): number | "chunked" | undefined {
  const length = contentLength(fields);
  const codings = fields.get("transfer-encoding");
  if (!codings) return length;
  checkCodings(codings, length, isHttp11);
  return "chunked";
}

function contentLength(fields: Fields): number | undefined {
  const text = single(fields, "content-length");
  if (text === undefined) return undefined;
  if (!/^\d+$/.test(text)) throw malformed("Content-Length is no number");
  const length = Number(text);
  if (!Number.isSafeInteger(length)) throw tooLarge();
  return length;
}

/** RFC 9112 section 6.1: an HTTP/1.0 message with a transfer coding has a faulty framing. */
function checkCodings(
  codings: readonly string[],
  length: number | undefined,
  isHttp11: boolean,
): void {
  if (length !== undefined) {
    throw malformed("Transfer-Encoding and Content-Length");
  }
  if (!isHttp11) throw malformed("Transfer-Encoding in an HTTP/1.0 message");
  if (codings.length > 1) throw malformed("transfer-encoding occurs twice");
  if (codings[0].toLowerCase() === "chunked") return;
  throw new HttpError(501, "a transfer coding other than chunked");
}

/** The value of a field that must not occur more than once. */
export function single(fields: Fields, name: string): string | undefined {
  const values = fields.get(name) ?? [];
  if (values.length > 1) throw malformed(`${name} occurs twice`);
  return values[0];
}

/** Fields for the recipient alone, and those of the framing, which are encoded anew. */
const HOP_BY_HOP = [
  "connection",
  "content-length",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

/** The fields that a proxy passes on. */
export function endToEnd(lines: readonly Field[], fields: Fields): Field[] {
  const dropped = new Set([...HOP_BY_HOP, ...options(fields, "connection")]);
  return lines.filter(([name]) => {
    const key = name.toLowerCase();
    return !dropped.has(key) && !key.startsWith("proxy-");
  });
}

/** The members of a comma-separated list, in lower case. */
export function options(fields: Fields, name: string): string[] {
  return (fields.get(name) ?? []).flatMap((it) =>
    it.split(",").map((option) => option.trim().toLowerCase())
  );
}

/** The fields that announce a length. */
export function framing(length: BodyLength | undefined): Field[] {
  if (length === undefined || length === "close") return [];
  return length === "chunked"
    ? [["Transfer-Encoding", "chunked"]]
    : [["Content-Length", `${length}`]];
}

/** Encodes a header section; its characters are octets, as those of `headText`. */
export function encodeHead(
  line: string,
  fields: readonly Field[],
): Uint8Array {
  const lines = [line, ...fields.map(([name, value]) => `${name}: ${value}`)];
  const text = `${lines.join("\r\n")}\r\n\r\n`;
  const octets = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) octets[i] = text.charCodeAt(i);
  return octets;
}
