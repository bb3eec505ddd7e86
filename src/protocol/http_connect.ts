/**
 * The messages of HTTP CONNECT (RFC 9110 section 9.3.6, RFC 9112).
 *
 * @module
 */

import { type Endpoint, formatEndpoint, isIp } from "./address.ts";
import { type Decode, type Decoded, ProtocolError } from "./decode.ts";
import { canonicalAscii, parseHost } from "./hostname.ts";
import { encodeCredentials } from "./http_basic.ts";
import {
  decodeRequestHead,
  type Fields,
  findLine,
  headText,
  MAX_HEAD,
} from "./http_head.ts";
import { reasonOf } from "./http_status.ts";
import { isPort, showPort, toOctets } from "./octets.ts";
import type { LoginInit } from "./password.ts";

export { replyOfStatus, statusOfReply, statusText } from "./http_status.ts";
export { MAX_HEAD };

/** A request of a client. */
export interface RequestMessage {
  /** The method, such as `CONNECT`; it is case-sensitive. */
  readonly method: string;
  /** The target of a CONNECT, `undefined` for any other method. */
  readonly target: Endpoint | undefined;
  /** The value of `Proxy-Authorization`, if there is one. */
  readonly authorization: string | undefined;
}

/** The argument of {@linkcode encodeRequest}. */
export interface RequestFields extends Endpoint {
  /** The login to send, with the scheme Basic. By default none. */
  readonly login?: LoginInit;
}

/** The response of a proxy. */
export interface ResponseMessage {
  /** 200 to 299 if the request is granted, otherwise any number of three digits. */
  readonly status: number;
}

// CONNECT host:port HTTP/1.1 CRLF
// Host: host:port CRLF                          RFC 9112 sections 3.2 and 3.2.3
// Proxy-Authorization: Basic base64 CRLF        RFC 9110 section 11.7.2
// CRLF
//
// RFC 9110 section 9.3.6: "A CONNECT request message does not have content."

/**
 * Encodes a CONNECT request. No argument can add lines to it.
 *
 * @throws {TypeError} if the hostname is neither a name nor an IP address, the port is out
 * of range, the login cannot be sent by Basic (`httpBasic.encodeCredentials`), or the
 * request is longer than {@linkcode MAX_HEAD} octets.
 *
 * @example
 * ```ts
 * import { httpConnect } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const octets = httpConnect.encodeRequest({ hostname: "::1", port: 443 });
 * assertEquals(
 *   new TextDecoder().decode(octets),
 *   "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n",
 * );
 * ```
 */
export function encodeRequest(
  { hostname, port, login }: RequestFields,
): Uint8Array {
  parseHost(hostname); // throws a TypeError for anything else
  if (!isPort(port)) {
    const shown = showPort(port);
    throw new TypeError(
      `port must be an integer from 0 to 65535, not ${shown}`,
    );
  }
  const target = formatEndpoint({ hostname, port });
  const octets = encodeLines([
    `CONNECT ${target} HTTP/1.1`,
    `Host: ${target}`,
    ...login ? [`Proxy-Authorization: ${encodeCredentials(login)}`] : [],
  ]);
  if (octets.length <= MAX_HEAD) return octets;
  throw new TypeError(`the request is longer than ${MAX_HEAD} octets`);
}

function encodeLines(lines: readonly string[], content = ""): Uint8Array {
  return toOctets(`${lines.join("\r\n")}\r\n\r\n${content}`);
}

/** Method, request target and version (RFC 9112 section 3); one space between each. */
const REQUEST_LINE = /^([\w!#$%&'*+.^`|~-]+) (\S+) HTTP\/(\d)\.(\d)$/;

/**
 * Decodes a request of at most {@linkcode MAX_HEAD} octets. Other methods than CONNECT
 * are no error, so that the server can answer them. The target's hostname is returned
 * in the form of `address.canonicalHostname`.
 *
 * The first line is checked when it is complete, the fields when all of them are.
 * Everything about which recipients may disagree is an error: lines that end in LF
 * alone, folded lines, a second `Host` or `Proxy-Authorization`, and content.
 *
 * @throws {ProtocolError} `"version"` if the first line names another version than
 * HTTP/1.x; `"hostname"` if the target of a CONNECT is not `HOST:PORT`; `"size"` for a
 * header that is too large; `"header"` for everything else.
 *
 * @example
 * ```ts
 * import { httpConnect } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const octets = new TextEncoder().encode("CONNECT Example.com:443 HTTP/1.0\r\n\r\n");
 * assertEquals(httpConnect.decodeRequest(octets)?.value, {
 *   method: "CONNECT",
 *   target: { hostname: "example.com", port: 443 },
 *   authorization: undefined,
 * });
 * ```
 */
export function decodeRequest(
  octets: Uint8Array,
): Decoded<RequestMessage> | undefined {
  const head = decodeRequestHead(octets, parseRequestLine);
  if (!head) return undefined;
  const { line: { method, target, needsHost }, fields, size } = head;
  checkFields(fields, needsHost);
  const [authorization] = fields.get("proxy-authorization") ?? [];
  return { value: { method, target, authorization }, size };
}

function parseRequestLine(line: string) {
  const [, method, target, major, minor] = REQUEST_LINE.exec(line) ?? [];
  if (method === undefined) {
    throw new ProtocolError("header", "the first line is no HTTP request");
  }
  if (major !== "1") {
    const version = `${major}.${minor}`;
    throw new ProtocolError("version", `the HTTP version is ${version}, not 1`);
  }
  return {
    method,
    target: method === "CONNECT" ? parseAuthority(target) : undefined,
    needsHost: minor !== "0",
  };
}

/** `uri-host ":" port` (RFC 9112 section 3.2.3), with brackets around IPv6 addresses. */
const AUTHORITY = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/;

/**
 * RFC 9110 section 9.3.6: "A server MUST reject a CONNECT request that targets an empty
 * or invalid port number".
 */
function parseAuthority(text: string): Endpoint {
  const [, ipv6, plain, digits] = AUTHORITY.exec(text) ?? [];
  const port = Number(digits);
  const hostname = canonicalAscii(ipv6 ?? plain ?? "");
  const isRight = hostname !== undefined && isPort(port) && port > 0 &&
    (ipv6 === undefined || isIp(ipv6) === 6);
  if (isRight) return { hostname, port };
  throw new ProtocolError("hostname", "the target of CONNECT is not HOST:PORT");
}

/** Fields that must not occur more than once. */
const SINGLE = ["host", "proxy-authorization", "content-length"];

function checkFields(fields: Fields, needsHost: boolean): void {
  const twice = SINGLE.find((it) => (fields.get(it)?.length ?? 0) > 1);
  if (twice) throw new ProtocolError("header", `${twice} occurs twice`);
  // RFC 9112 section 3.2: "A server MUST respond with a 400 (Bad Request) status code to
  // any HTTP/1.1 request message that lacks a Host header field".
  if (needsHost && !fields.has("host")) {
    throw new ProtocolError("header", "an HTTP/1.1 request without Host");
  }
  const [length = "0"] = fields.get("content-length") ?? [];
  if (length !== "0" || fields.has("transfer-encoding")) {
    throw new ProtocolError("header", "a request to a tunnel with content");
  }
}

// HTTP/1.1 200 reason CRLF                      RFC 9112 section 4
// fields CRLF                                   (none is needed)
// CRLF
//
// RFC 9110 section 9.3.6: "Any 2xx (Successful) response indicates that the sender (and
// all inbound proxies) will switch to tunnel mode immediately after the response header
// section".

const STATUS_LINE = /^HTTP\/1\.\d (\d{3})(?: .*)?$/;
const HTTP1 = toOctets("HTTP/1.");
const SWITCHING_PROTOCOLS = 101;

/**
 * Decodes a response of at most {@linkcode MAX_HEAD} octets up to the end of its header
 * section, together with the interim responses before it (RFC 9110 section 15.2: "A
 * client MUST be able to parse one or more 1xx responses received prior to a final
 * response"). Lines may end in LF alone.
 *
 * Fields are skipped: "A client MUST ignore any Content-Length or Transfer-Encoding
 * header fields received in a successful response to CONNECT" (RFC 9110 section 9.3.6).
 *
 * @throws {ProtocolError} `"header"` at the first octet that is not HTTP/1.x, for a
 * first line without a status, or for a control character; `"size"` for a header that is
 * too large.
 *
 * @example
 * ```ts
 * import { httpConnect } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const octets = new TextEncoder().encode("HTTP/1.1 200 OK\r\n\r\nSSH-2.0-");
 * assertEquals(httpConnect.decodeResponse(octets), {
 *   value: { status: 200 },
 *   size: 19,
 * });
 * ```
 */
export function decodeResponse(
  octets: Uint8Array,
): Decoded<ResponseMessage> | undefined {
  return responseDecoder()(octets);
}

/**
 * Creates a decoder for one response. It returns and throws what
 * {@linkcode decodeResponse} does, but looks at each octet once, however small the packets
 * are. Each call gets the octets of the call before and those that have arrived since.
 *
 * @example
 * ```ts
 * import { httpConnect } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const decode = httpConnect.responseDecoder();
 * const octets = new TextEncoder().encode("HTTP/1.1 200 OK\r\n\r\n");
 * assertEquals(decode(octets.subarray(0, 18)), undefined);
 * assertEquals(decode(octets)?.value, { status: 200 });
 * ```
 */
export function responseDecoder(): Decode<ResponseMessage> {
  let start = 0; // of the line
  let seen = 0;
  let status: number | undefined;
  return (octets) => {
    while (true) {
      if (status === undefined) checkBeginning(octets, start);
      const line = findLine(octets, start, true, seen);
      seen = line?.next ?? octets.length;
      if (!line) return undefined;
      const isEmpty = line.end === start;
      if (status === undefined) {
        status = parseStatusLine(headText(octets, start, line.end));
      } else if (isEmpty && !isInterim(status)) {
        return { value: { status }, size: seen };
      } else if (isEmpty) {
        status = undefined;
      }
      start = seen;
    }
  };
}

/** So that a proxy of another protocol is reported at once, which may send no line break. */
function checkBeginning(octets: Uint8Array, start: number): void {
  const length = Math.min(octets.length - start, HTTP1.length);
  for (let i = 0; i < length; i++) {
    if (octets[start + i] === HTTP1[i]) continue;
    throw new ProtocolError("header", "the response is not HTTP/1.x");
  }
}

function parseStatusLine(line: string): number {
  const digits = STATUS_LINE.exec(line)?.[1];
  if (digits !== undefined) return Number(digits);
  throw new ProtocolError("header", "an HTTP response without a status");
}

/** After 101 no HTTP follows. */
function isInterim(status: number): boolean {
  return status >= 100 && status < 200 && status !== SWITCHING_PROTOCOLS;
}

/**
 * Encodes a response. One that is not 2xx gets the text as its content, and announces
 * that the connection will be closed; 407 asks for a login by Basic, and 405 names the
 * only method.
 *
 * @throws {TypeError} if the status is not a common one (`statusText`).
 *
 * @example
 * ```ts
 * import { httpConnect } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(
 *   new TextDecoder().decode(httpConnect.encodeResponse(200)),
 *   "HTTP/1.1 200 Connection established\r\n\r\n",
 * );
 * ```
 */
export function encodeResponse(status: number, text = ""): Uint8Array {
  const reason = reasonOf(status);
  if (reason === undefined) {
    throw new TypeError(`no response has status ${status}`);
  }
  const statusLine = `HTTP/1.1 ${status} ${reason}`;
  // RFC 9110 section 9.3.6: "A server MUST NOT send any Transfer-Encoding or
  // Content-Length header fields in a 2xx (Successful) response to CONNECT."
  if (status < 300) return encodeLines([statusLine]);
  return encodeLines([
    statusLine,
    ...EXTRA_FIELDS[status] ?? [],
    "Content-Type: text/plain; charset=utf-8",
    `Content-Length: ${toOctets(text).length}`,
    "Connection: close",
  ], text);
}

const EXTRA_FIELDS: Readonly<Record<number, readonly string[]>> = {
  // RFC 9110 section 15.5.6: "The origin server MUST generate an Allow header field".
  405: ["Allow: CONNECT"],
  // RFC 7617 section 2.1: the charset says that logins are UTF-8.
  407: ['Proxy-Authenticate: Basic realm="proxy", charset="UTF-8"'],
};
