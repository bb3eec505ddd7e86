/**
 * Responses to requests that a proxy forwards (RFC 9112 sections 4 and 6.3).
 *
 * @module
 */

import type { Decoded } from "./decode.ts";
import type { BodyLength } from "./http_body.ts";
import { malformed } from "./http_error.ts";
import {
  announcedLength,
  encodeHead,
  endToEnd,
  framing,
} from "./http_forward_fields.ts";
import {
  type Field,
  fieldsByName,
  findHeadEnd,
  findLine,
  headText,
  parseFieldLines,
} from "./http_head.ts";

/** A response to forward. */
export interface ForwardResponse {
  /** 100 to 199 for interim responses, which others follow. */
  readonly status: number;
  readonly reason: string;
  /** The fields for the client, without those of the framing. */
  readonly fields: readonly Field[];
  /** The value of `Content-Length`, if the client is to get it. */
  readonly contentLength: number | undefined;
  /** The length of the content that follows the header section. */
  readonly length: BodyLength;
}

// HTTP/1.x SP status SP [ reason ] CRLF         RFC 9112 section 4
// fields CRLF
// CRLF

const STATUS_LINE = /^HTTP\/1\.(\d) ([1-5]\d\d)(?: (.*))?$/;

/**
 * Decodes the header section of a response to a request with this method, of at most
 * 16 KiB.
 *
 * The proxy asks for no upgrade and sends no login, so that a response with status 101 or
 * 407 is an error: with the latter a target could ask for the client's login to the proxy.
 *
 * @throws {ProtocolError} `"size"`, or `"header"` for everything about which recipients
 * may disagree, as in a request.
 */
export function decodeResponse(
  octets: Uint8Array,
  method: string,
): Decoded<ForwardResponse> | undefined {
  const first = findLine(octets, 0, false);
  if (!first) return undefined;
  const line = STATUS_LINE.exec(headText(octets, 0, first.end));
  if (!line) throw malformed("the first line is no HTTP response");
  const [, minor, digits, reason = ""] = line;
  const status = Number(digits);
  if (status === 101 || status === 407) {
    throw malformed(`the target responds with ${status}`);
  }
  const end = findHeadEnd(octets, first.next, false);
  if (end === undefined) return undefined;
  const lines = parseFieldLines(headText(octets, first.next, end));
  const fields = fieldsByName(lines);
  const announced = announcedLength(fields, minor !== "0");
  const isEmpty = status < 200 || status === 204;
  const hasNone = isEmpty || status === 304 || method === "HEAD";
  const value: ForwardResponse = {
    status,
    reason,
    fields: endToEnd(lines, fields),
    contentLength: isEmpty || announced === "chunked" ? undefined : announced,
    length: hasNone ? 0 : announced ?? "close",
  };
  return { value, size: end };
}

/** How a response is passed on. */
export interface ResponsePassing {
  /** Whether the client understands chunks. */
  readonly isHttp11: boolean;
  /**
   * How long the client's connection is kept for its next request, in seconds; 0 if that
   * is not known, `undefined` if it is closed after the response.
   */
  readonly keptFor?: number;
}

/**
 * The length of the content as the client gets it: if the response does not announce it,
 * in chunks, which HTTP/1.0 does not have.
 */
export function forwardedLength(
  { length }: ForwardResponse,
  isHttp11: boolean,
): BodyLength {
  if (typeof length === "number") return length;
  return isHttp11 ? "chunked" : "close";
}

/** Encodes the header section of a response for the client. */
export function encodeResponse(
  response: ForwardResponse,
  { isHttp11, keptFor }: ResponsePassing,
): Uint8Array {
  const { status, reason, fields, contentLength } = response;
  const line = `HTTP/1.1 ${status} ${reason}`;
  if (status < 200) return encodeHead(line, fields);
  const length = forwardedLength(response, isHttp11);
  return encodeHead(line, [
    ...fields,
    // A response without content must not announce another length than it was given.
    ...framing(contentLength ?? (length === 0 ? undefined : length)),
    ...connection(keptFor),
  ]);
}

/** Clients that know the time do not send a request while the connection is being closed. */
function connection(keptFor: number | undefined): Field[] {
  if (keptFor === undefined) return [["Connection", "close"]];
  if (keptFor === 0) return [];
  return [
    ["Connection", "keep-alive"],
    ["Keep-Alive", `timeout=${keptFor}`],
  ];
}
