/**
 * Requests that a proxy forwards: those in absolute form (RFC 9112 section 3.2.2).
 *
 * A message is encoded anew from what was understood, so that the recipient cannot find
 * another end of it than the proxy did.
 *
 * @module
 */

import { type Endpoint, formatEndpoint, isIp } from "./address.ts";
import { type Decoded, ProtocolError } from "./decode.ts";
import { canonicalAscii } from "./hostname.ts";
import { HttpError, malformed } from "./http_error.ts";
import {
  announcedLength,
  encodeHead,
  endToEnd,
  framing,
  options,
  single,
} from "./http_forward_fields.ts";
import { decodeRequestHead, type Field, type Fields } from "./http_head.ts";

/** A request to forward. */
export interface ForwardRequest {
  /** The method; it is case-sensitive. */
  readonly method: string;
  /** The host and the port of the URL. */
  readonly target: Endpoint;
  /** The path and the query of the URL, or `*`. */
  readonly path: string;
  /** The value of `Proxy-Authorization`, if there is one. */
  readonly authorization: string | undefined;
  /** The fields for the target, without `Host` and those of the framing. */
  readonly fields: readonly Field[];
  /** The length of the content; `undefined` if the header announces none. */
  readonly length: number | "chunked" | undefined;
  /** Whether the client speaks HTTP/1.1, and so understands chunks and interim responses. */
  readonly isHttp11: boolean;
  /** Whether the client may send further requests on the connection. */
  readonly keepsAlive: boolean;
}

// method SP absolute-URI SP HTTP/1.x CRLF       RFC 9112 sections 3 and 3.2.2
// fields CRLF
// CRLF

const REQUEST_LINE =
  /^([\w!#$%&'*+.^`|~-]+) ([\x21-\x7e\x80-\xff]+) HTTP\/(\d)\.(\d)$/;
const HTTP_URL =
  /^http:\/\/(?:\[([^\]/?#@]+)\]|([^:[\]/?#@]+))(?::(\d{0,5}))?([/?][^#]*)?$/i;
const OTHER_SCHEME = /^(?!http:)[a-z][a-z\d+.-]*:\/\//i;

/**
 * Decodes the header section of a request in absolute form, of at most 16 KiB.
 *
 * Everything about which recipients may disagree is an error: lines that end in LF
 * alone, folded lines, white space before a colon, several lengths, a transfer coding
 * other than `chunked` or together with a length, a user name in the URL.
 *
 * @throws {ProtocolError} `"version"`, `"size"`, `"hostname"` or `"header"`, with the status
 * of `statusOfError`.
 */
export function decodeRequest(
  octets: Uint8Array,
): Decoded<ForwardRequest> | undefined {
  const head = decodeRequestHead(octets, parseRequestLine);
  if (!head) return undefined;
  const { line, lines, fields, size } = head;
  const { isHttp11 } = line;
  if (single(fields, "host") === undefined && isHttp11) {
    throw malformed("an HTTP/1.1 request without Host");
  }
  const value = {
    ...line,
    authorization: single(fields, "proxy-authorization"),
    fields: forwardedFields(line, lines, fields),
    length: announcedLength(fields, isHttp11),
    // RFC 9112 section 9.3: "A proxy server MUST NOT maintain a persistent connection
    // with an HTTP/1.0 client".
    keepsAlive: isHttp11 && !asksToClose(fields),
  };
  return { value, size };
}

/** The members of a request that its first line has. */
type RequestLine = Pick<
  ForwardRequest,
  "method" | "target" | "path" | "isHttp11"
>;

function parseRequestLine(line: string): RequestLine {
  const [, method, url, major, minor] = REQUEST_LINE.exec(line) ?? [];
  if (method === undefined) {
    throw malformed("the first line is no HTTP request");
  }
  if (major !== "1") {
    const version = `${major}.${minor}`;
    throw new ProtocolError("version", `the HTTP version is ${version}, not 1`);
  }
  if (method === "TRACE") throw new HttpError(501, "TRACE is not supported");
  return { method, ...parseUrl(url, method), isHttp11: minor !== "0" };
}

function parseUrl(
  url: string,
  method: string,
): Pick<RequestLine, "target" | "path"> {
  if (OTHER_SCHEME.test(url)) {
    throw new HttpError(501, "only http: URLs are forwarded, use CONNECT");
  }
  const parts = HTTP_URL.exec(url);
  if (!parts) throw malformed("this is a proxy, which needs an http: URL");
  const [, ipv6, plain, digits, rest = ""] = parts;
  const port = Number(digits || 80);
  const hostname = canonicalAscii(ipv6 ?? plain);
  const isRight = hostname !== undefined && port > 0 && port <= 65535 &&
    (ipv6 === undefined || isIp(ipv6) === 6);
  if (isRight) {
    return { target: { hostname, port }, path: pathOf(rest, method) };
  }
  throw new ProtocolError("hostname", "the URL has no valid host and port");
}

/** RFC 9112 section 3.2.4: OPTIONS with an empty path means the server as a whole. */
function pathOf(rest: string, method: string): string {
  if (rest === "") return method === "OPTIONS" ? "*" : "/";
  return rest.startsWith("?") ? `/${rest}` : rest;
}

function forwardedFields(
  { method, isHttp11 }: RequestLine,
  lines: readonly Field[],
  fields: Fields,
): Field[] {
  // RFC 9112 section 3.2.2: a proxy "MUST ignore the received Host header field".
  const dropped = isHttp11 ? ["host"] : ["host", "expect"]; // RFC 9110 section 10.1.1
  const kept = endToEnd(lines, fields).filter(([name]) =>
    !dropped.includes(name.toLowerCase())
  );
  return method === "OPTIONS" ? kept.map(countForward) : kept;
}

/** RFC 9110 section 7.6.2: the field limits how often an OPTIONS request is forwarded. */
function countForward([name, value]: Field): Field {
  const isCount = name.toLowerCase() === "max-forwards" &&
    /^\d{1,9}$/.test(value);
  if (!isCount) return [name, value];
  if (Number(value) === 0) throw new HttpError(501, "Max-Forwards is 0");
  return [name, `${Number(value) - 1}`];
}

/** Old clients send `Proxy-Connection` in place of `Connection`. */
function asksToClose(fields: Fields): boolean {
  return ["connection", "proxy-connection"].some((it) =>
    options(fields, it).includes("close")
  );
}

/**
 * Encodes the header section of a request for the target, in origin form. The connection
 * serves only this request.
 */
export function encodeRequest(
  { method, target, path, fields, length }: ForwardRequest,
): Uint8Array {
  return encodeHead(`${method} ${path} HTTP/1.1`, [
    ["Host", hostOf(target)],
    ...fields,
    ...framing(length),
    ["Connection", "close"],
  ]);
}

/** Without the port that is the default. */
function hostOf(target: Endpoint): string {
  const text = formatEndpoint(target);
  return target.port === 80 ? text.slice(0, -":80".length) : text;
}
