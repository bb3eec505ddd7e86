/** The header sections that a proxy forwards. */

import { assertEquals } from "@std/assert";
import type { ProtocolError } from "../../src/protocol/decode.ts";
import { statusOfError } from "../../src/protocol/http_error.ts";
import {
  decodeRequest,
  encodeRequest,
  type ForwardRequest,
} from "../../src/protocol/http_forward_request.ts";
import {
  decodeResponse,
  encodeResponse,
  type ForwardResponse,
} from "../../src/protocol/http_forward_response.ts";
import { test } from "../support/harness.ts";
import { assertRefuses, assertTakes } from "../support/table.ts";
import { fromLatin1, latin1 } from "../support/text.ts";

const GET: ForwardRequest = {
  method: "GET",
  target: { hostname: "a.example", port: 80 },
  path: "/",
  authorization: undefined,
  fields: [],
  length: undefined,
  isHttp11: true,
  keepsAlive: true,
};

/** A row: name, the header without its last empty line, what differs from {@linkcode GET}. */
const requests: readonly [string, string, Partial<ForwardRequest>][] = [
  ["a request", "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n", {}],
  [
    "the Host of the URL in place of another one",
    "GET http://a.example/ HTTP/1.1\r\nHost: evil.example\r\n",
    {},
  ],
  [
    "a path, a query and a port",
    "GET HTTP://A.Example.:8080/b//../c?d=http://e/&f HTTP/1.1\r\nHost: x\r\n",
    {
      target: { hostname: "a.example", port: 8080 },
      path: "/b//../c?d=http://e/&f",
    },
  ],
  ["a URL without a path", "GET http://a.example HTTP/1.1\r\nHost: x\r\n", {}],
  [
    "a query without a path",
    "GET http://a.example:?b HTTP/1.1\r\nHost: x\r\n",
    { path: "/?b" },
  ],
  [
    "octets beyond ASCII",
    "GET http://a.example/\xc3\xa0 HTTP/1.1\r\nHost: x\r\nA: \xe9\r\n",
    { path: "/\xc3\xa0", fields: [["A", "\xe9"]] },
  ],
  [
    "an IPv6 address",
    "GET http://[2001:DB8::0]/ HTTP/1.1\r\nHost: x\r\n",
    { target: { hostname: "2001:db8::", port: 80 } },
  ],
  [
    "an address in disguise",
    "GET http://0x7f.1/ HTTP/1.1\r\nHost: x\r\n",
    { target: { hostname: "127.0.0.1", port: 80 } },
  ],
  [
    "a login",
    "GET http://a.example/ HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic YTpi\r\n",
    { authorization: "Basic YTpi" },
  ],
  [
    "fields for the proxy alone",
    "GET http://a.example/ HTTP/1.1\r\nHost: x\r\nConnection: X-Hop , keep-alive\r\n" +
    "connection: x-two\r\nX-HOP: 1\r\nX-Two: 2\r\nKeep-Alive: 5\r\nTE: trailers\r\n" +
    "Trailer: A\r\nUpgrade: websocket\r\nProxy-Connection: keep-alive\r\n" +
    "Proxy-Other: 1\r\nX-Three:  3 \r\nx-three: 4\r\n",
    { fields: [["X-Three", "3"], ["x-three", "4"]] },
  ],
  [
    "a length that Connection names",
    "POST http://a.example/ HTTP/1.1\r\nHost: x\r\nContent-Length: 005\r\n" +
    "Connection: content-length, host, close\r\n",
    { method: "POST", length: 5, keepsAlive: false },
  ],
  [
    "a chunked request",
    "PUT http://a.example/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n",
    { method: "PUT", length: "chunked" },
  ],
  [
    "no content",
    "POST http://a.example/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n",
    { method: "POST", length: 0 },
  ],
  [
    "an expectation",
    "PUT http://a.example/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n",
    { method: "PUT", fields: [["Expect", "100-continue"]] },
  ],
  [
    "HTTP/1.0, without an expectation",
    "GET http://a.example/ HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n",
    { isHttp11: false, keepsAlive: false },
  ],
  [
    "a client that closes",
    "GET http://a.example/ HTTP/1.1\r\nHost: x\r\nConnection: a, Close\r\n",
    { keepsAlive: false },
  ],
  [
    "an old client that closes",
    "GET http://a.example/ HTTP/1.1\r\nHost: x\r\nProxy-Connection: close\r\n",
    { keepsAlive: false },
  ],
  [
    "OPTIONS for the server as a whole",
    "OPTIONS http://a.example HTTP/1.1\r\nHost: x\r\nMax-Forwards: 2\r\n",
    { method: "OPTIONS", path: "*", fields: [["Max-Forwards", "1"]] },
  ],
  [
    "a method that nobody knows",
    "a!b http://a.example/ HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n",
    { method: "a!b", fields: [["Max-Forwards", "0"]] },
  ],
];

for (const [name, head, value] of requests) {
  test(`decodeRequest() of forwarded requests accepts ${name}`, () => {
    const expected = { ...GET, ...value };
    assertTakes(decodeRequest, latin1(`${head}\r\n`), expected);
  });
}

/** A row: name, the header up to the first wrong octet, code, status. */
const badRequests: readonly [string, string, string, number][] = [
  ["a line that ends in LF", "GET http://a/ HTTP/1.1\n", "header", 400],
  [
    "a field that ends in LF",
    "GET http://a/ HTTP/1.1\r\nHost: a\n",
    "header",
    400,
  ],
  ["a CR alone", "GET http://a/ HTTP/1.1\r\nHost: a\rb", "header", 400],
  ["a NUL", "GET http://a/\0", "header", 400],
  ["a path", "GET / HTTP/1.1\r\n", "header", 400],
  ["an asterisk", "OPTIONS * HTTP/1.1\r\n", "header", 400],
  ["HTTP/2", "PRI * HTTP/2.0\r\n", "version", 505],
  ["https:", "GET https://a/ HTTP/1.1\r\n", "header", 501],
  ["ftp:", "GET ftp://a/ HTTP/1.1\r\n", "header", 501],
  ["TRACE", "TRACE http://a/ HTTP/1.1\r\n", "header", 501],
  ["a user", "GET http://b@a/ HTTP/1.1\r\n", "header", 400],
  ["a user and a password", "GET http://b:c@a/ HTTP/1.1\r\n", "header", 400],
  ["a fragment", "GET http://a/#b HTTP/1.1\r\n", "header", 400],
  ["a host with a fragment", "GET http://a#b/ HTTP/1.1\r\n", "header", 400],
  ["no host", "GET http:///b HTTP/1.1\r\n", "header", 400],
  ["a backslash", "GET http://a\\b/ HTTP/1.1\r\n", "hostname", 400],
  ["an encoded host", "GET http://%61/ HTTP/1.1\r\n", "hostname", 400],
  ["port 0", "GET http://a:0/ HTTP/1.1\r\n", "hostname", 400],
  ["port 65536", "GET http://a:65536/ HTTP/1.1\r\n", "hostname", 400],
  ["a name in brackets", "GET http://[a]/ HTTP/1.1\r\n", "hostname", 400],
  ["IPv6 without brackets", "GET http://::1/ HTTP/1.1\r\n", "header", 400],
  ["two spaces", "GET  http://a/ HTTP/1.1\r\n", "header", 400],
  ["a space in the path", "GET http://a/b c HTTP/1.1\r\n", "header", 400],
  ["a name that is no token", "G\xe9T http://a/ HTTP/1.1\r\n", "header", 400],
  ["no Host", "GET http://a/ HTTP/1.1\r\n\r\n", "header", 400],
  [
    "two Hosts",
    "GET http://a/ HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
    "header",
    400,
  ],
  ...([
    ["a folded field", "A: b\r\n c", 400],
    ["a space before the colon", "A : b", 400],
    ["a field name with obs-text", "\xe9: b", 400],
    ["a field without a colon", "A", 400],
    ["two lengths", "Content-Length: 5\r\nContent-Length: 5", 400],
    ["a list of lengths", "Content-Length: 5, 5", 400],
    ["a length with a sign", "Content-Length: +5", 400],
    ["a negative length", "Content-Length: -5", 400],
    ["a hexadecimal length", "Content-Length: 0x5", 400],
    ["an empty length", "Content-Length:", 400],
    [
      "a length that cannot be counted",
      `Content-Length: ${"9".repeat(17)}`,
      413,
    ],
    [
      "a length and chunks",
      "Content-Length: 5\r\nTransfer-Encoding: chunked",
      400,
    ],
    [
      "chunks and a length",
      "Transfer-Encoding: chunked\r\nContent-Length: 5",
      400,
    ],
    ["another coding", "Transfer-Encoding: gzip", 501],
    ["two codings", "Transfer-Encoding: gzip, chunked", 501],
    ["chunked twice", "Transfer-Encoding: chunked, chunked", 501],
    ["identity", "Transfer-Encoding: identity", 501],
    ["no coding", "Transfer-Encoding:", 501],
    [
      "two fields with codings",
      "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
      400,
    ],
    ["two logins", "Proxy-Authorization: a\r\nProxy-Authorization: b", 400],
  ] as const).map(([name, fields, status]) => {
    const head = `GET http://a/ HTTP/1.1\r\nHost: a\r\n${fields}\r\n\r\n`;
    return [name, head, "header", status] as [string, string, string, number];
  }),
  [
    "chunked in disguise",
    "GET http://a/ HTTP/1.1\r\nTransfer-Encoding: \x0b",
    "header",
    400,
  ],
  [
    "chunks from an HTTP/1.0 client",
    "POST http://a/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "header",
    400,
  ],
  [
    "OPTIONS that must not be forwarded",
    "OPTIONS http://a/ HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
    "header",
    501,
  ],
  ["16 KiB", "GET http://a/ HTTP/1.0\r\nA: ".padEnd(16_384, "b"), "size", 431],
];

for (const [name, head, code, status] of badRequests) {
  test(`decodeRequest() of forwarded requests rejects ${name}`, () => {
    assertRefuses(decodeRequest, latin1(head), code);
    assertEquals(statusOf(() => decodeRequest(latin1(head))), status);
  });
}

function statusOf(decode: () => unknown): number | undefined {
  try {
    decode();
  } catch (error) {
    return statusOfError(error as ProtocolError);
  }
}

/** A row: name, what differs from {@linkcode GET}, the encoded header. */
const sentRequests: readonly [string, Partial<ForwardRequest>, string][] = [
  ["a request", {}, "GET / HTTP/1.1\r\nHost: a.example\r\n"],
  [
    "a port and an IPv6 address",
    { target: { hostname: "::1", port: 8080 } },
    "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n",
  ],
  [
    "an IPv6 address with the default port",
    { target: { hostname: "::1", port: 80 } },
    "GET / HTTP/1.1\r\nHost: [::1]\r\n",
  ],
  [
    "a length, fields and octets beyond ASCII",
    { length: 0, path: "/\xe9", fields: [["A", "\xe9"]] },
    "GET /\xe9 HTTP/1.1\r\nHost: a.example\r\nA: \xe9\r\nContent-Length: 0\r\n",
  ],
  [
    "chunks, and no login",
    { length: "chunked", authorization: "Basic YTpi" },
    "GET / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n",
  ],
];

for (const [name, value, head] of sentRequests) {
  test(`encodeRequest() of forwarded requests encodes ${name}`, () => {
    const sent = fromLatin1(encodeRequest({ ...GET, ...value }));
    assertEquals(sent, `${head}Connection: close\r\n\r\n`);
  });
}

const OK: ForwardResponse = {
  status: 200,
  reason: "OK",
  fields: [],
  contentLength: undefined,
  length: "close",
};

/** A row: name, method, the header without its last empty line, what differs from OK. */
const responses: readonly [
  string,
  string,
  string,
  Partial<ForwardResponse>,
][] = [
  [
    "a response that ends with the connection",
    "GET",
    "HTTP/1.1 200 OK\r\n",
    {},
  ],
  ["one of HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\n", {}],
  ["one without a reason", "GET", "HTTP/1.1 200\r\n", { reason: "" }],
  ["an empty reason", "GET", "HTTP/1.1 200 \r\n", { reason: "" }],
  [
    "one with a length",
    "GET",
    "HTTP/1.1 404 Not \xe9 Found\r\nContent-Length: 5\r\nA: b\r\n",
    {
      status: 404,
      reason: "Not \xe9 Found",
      fields: [["A", "b"]],
      contentLength: 5,
      length: 5,
    },
  ],
  [
    "one in chunks",
    "GET",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n",
    { length: "chunked" },
  ],
  [
    "fields for the proxy alone",
    "GET",
    "HTTP/1.1 200 OK\r\nConnection: x, content-length\r\nX: 1\r\nContent-Length: 2\r\n" +
    "Keep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\n",
    { contentLength: 2, length: 2 },
  ],
  [
    "a response to HEAD",
    "HEAD",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
    { contentLength: 5, length: 0 },
  ],
  [
    "a response in chunks to HEAD",
    "HEAD",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n",
    { length: 0 },
  ],
  [
    "304",
    "GET",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n",
    { status: 304, reason: "Not Modified", contentLength: 5, length: 0 },
  ],
  [
    "204 with a length",
    "GET",
    "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n",
    { status: 204, reason: "No Content", length: 0 },
  ],
  [
    "204 in chunks",
    "GET",
    "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n",
    { status: 204, reason: "No Content", length: 0 },
  ],
  [
    "an interim response",
    "GET",
    "HTTP/1.1 103 Early Hints\r\nLink: a\r\n",
    { status: 103, reason: "Early Hints", fields: [["Link", "a"]], length: 0 },
  ],
];

for (const [name, method, head, value] of responses) {
  test(`decodeResponse() of forwarded responses accepts ${name}`, () => {
    assertTakes(
      (input) => decodeResponse(input, method),
      latin1(`${head}\r\n`),
      { ...OK, ...value },
    );
  });
}

/** A row: name, the header up to the first wrong octet. */
const badResponses: readonly [string, string][] = [
  ["another protocol", "SSH-2.0-x\r\n"],
  ["HTTP/2", "HTTP/2 200 OK\r\n"],
  ["a line that ends in LF", "HTTP/1.1 200 OK\n"],
  ["status 99", "HTTP/1.1 099 OK\r\n"],
  ["status 600", "HTTP/1.1 600 OK\r\n"],
  ["an upgrade that nobody asked for", "HTTP/1.1 101 Switching\r\n"],
  ["a request for a login to a proxy", "HTTP/1.1 407 Login\r\n"],
  ["a NUL in the reason", "HTTP/1.1 200 O\0"],
  ["a CR in a field", "HTTP/1.1 200 OK\r\nA: b\rS"],
  ["a folded field", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"],
  ["a space before a colon", "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n"],
  [
    "two lengths",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
  ],
  [
    "a length and chunks",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
  ],
  [
    "chunks in HTTP/1.0",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
  ],
  ["another coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"],
  ["a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"],
  [
    "a length that cannot be counted",
    `HTTP/1.1 200 OK\r\nContent-Length: ${"9".repeat(17)}\r\n\r\n`,
  ],
];

for (const [name, head] of badResponses) {
  test(`decodeResponse() of forwarded responses rejects ${name}`, () => {
    const decode = (input: Uint8Array) => decodeResponse(input, "GET");
    assertRefuses(decode, latin1(head), "header");
  });
}

/** A row: name, what differs from OK, HTTP/1.1?, seconds, the encoded header. */
const sentResponses: readonly [
  string,
  Partial<ForwardResponse>,
  boolean,
  number | undefined,
  string,
][] = [
  [
    "one that ends with the connection, in chunks",
    { fields: [["A", "\xe9"]] },
    true,
    10,
    "HTTP/1.1 200 OK\r\nA: \xe9\r\nTransfer-Encoding: chunked\r\n" +
    "Connection: keep-alive\r\nKeep-Alive: timeout=10\r\n",
  ],
  [
    "chunks for HTTP/1.0",
    { length: "chunked" },
    false,
    undefined,
    "HTTP/1.1 200 OK\r\nConnection: close\r\n",
  ],
  [
    "a length, and a connection that is kept",
    { length: 5, contentLength: 5 },
    true,
    0,
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
  ],
  [
    "a response without content to HEAD",
    { length: 0 },
    true,
    undefined,
    "HTTP/1.1 200 OK\r\nConnection: close\r\n",
  ],
  [
    "an interim response",
    { status: 100, reason: "Continue", length: 0 },
    true,
    undefined,
    "HTTP/1.1 100 Continue\r\n",
  ],
];

for (const [name, value, isHttp11, keptFor, head] of sentResponses) {
  test(`encodeResponse() of forwarded responses encodes ${name}`, () => {
    const sent = encodeResponse({ ...OK, ...value }, { isHttp11, keptFor });
    assertEquals(fromLatin1(sent), `${head}\r\n`);
  });
}
