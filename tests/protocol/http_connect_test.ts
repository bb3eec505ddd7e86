import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  MAX_HEAD,
  replyOfStatus,
  type RequestFields,
  type RequestMessage,
  statusOfReply,
  statusText,
} from "../../src/protocol/http_connect.ts";
import { test } from "../support/harness.ts";
import { assertRefuses, assertTakes, outcome } from "../support/table.ts";
import { latin1 } from "../support/text.ts";

function request(
  hostname: string,
  port: number,
  authorization?: string,
): RequestMessage {
  return { method: "CONNECT", target: { hostname, port }, authorization };
}

const OTHER = (method: string): RequestMessage => ({
  method,
  target: undefined,
  authorization: undefined,
});

const EXAMPLE = request("example.com", 443);

/** A row: name, the request without its last empty line, the value. */
const requests: readonly (readonly [string, string, RequestMessage])[] = [
  ["HTTP/1.1", "CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n", EXAMPLE],
  ["HTTP/1.0 without Host", "CONNECT example.com:443 HTTP/1.0\r\n", EXAMPLE],
  [
    "another minor version",
    "CONNECT example.com:443 HTTP/1.9\r\nhost:\r\n",
    EXAMPLE,
  ],
  [
    "a name in capitals with a dot",
    "CONNECT Example.COM.:443 HTTP/1.0\r\n",
    EXAMPLE,
  ],
  [
    "an IPv4 address",
    "CONNECT 192.0.2.1:1 HTTP/1.0\r\n",
    request("192.0.2.1", 1),
  ],
  [
    "an address in disguise",
    "CONNECT 0x7f.1:65535 HTTP/1.0\r\n",
    request("127.0.0.1", 65535),
  ],
  [
    "an IPv6 address",
    "CONNECT [2001:DB8::0]:80 HTTP/1.0\r\n",
    request("2001:db8::", 80),
  ],
  ["a port with zeros", "CONNECT example.com:00443 HTTP/1.0\r\n", EXAMPLE],
  [
    "fields in any case and with any blanks",
    "CONNECT h:1 HTTP/1.1\r\nHOST:h\r\nproxy-AUTHORIZATION: \t Basic YTpi \t\r\n",
    request("h", 1, "Basic YTpi"),
  ],
  [
    "fields without a meaning",
    "CONNECT h:1 HTTP/1.1\r\nHost: other\r\nExpect: 100-continue\r\nA: \xe9\r\nA: b\r\n" +
    "Connection: close\r\nContent-Length: 0\r\nEmpty:\r\n",
    request("h", 1),
  ],
  [
    "another method",
    "GET http://example.com/ HTTP/1.1\r\nHost: x\r\n",
    OTHER("GET"),
  ],
  ["a method in lower case", "connect h:1 HTTP/1.0\r\n", OTHER("connect")],
  ["an unknown method", "M-SEARCH * HTTP/1.0\r\n", OTHER("M-SEARCH")],
];

for (const [name, text, value] of requests) {
  test(`decodeRequest() accepts ${name}`, () => {
    assertTakes(decodeRequest, latin1(`${text}\r\n`), value);
  });
}

/** A row: name, octets, code. The last octet is the first that is wrong. */
const badRequests: readonly (readonly [string, string, string])[] = [
  ["a line that ends in LF alone", "CONNECT h:1 HTTP/1.0\n", "header"],
  ["a CR without LF", "CONNECT h:1 HTTP/1.0\r ", "header"],
  [
    "a field that ends in LF alone",
    "CONNECT h:1 HTTP/1.1\r\nHost: h\n",
    "header",
  ],
  ["a NUL", "CONNECT h\0", "header"],
  [
    "an escape character in a field",
    "CONNECT h:1 HTTP/1.0\r\nA: \x1b",
    "header",
  ],
  ["DEL", "CONNECT h:1 HTTP/1.0\r\nA: \x7f", "header"],
  ["an empty first line", "\r\n", "header"],
  ["no version", "CONNECT h:1\r\n", "header"],
  ["two spaces", "CONNECT  h:1 HTTP/1.0\r\n", "header"],
  ["a tab in the first line", "CONNECT\th:1 HTTP/1.0\r\n", "header"],
  ["a space at the end", "CONNECT h:1 HTTP/1.0 \r\n", "header"],
  ["a space before the method", " CONNECT h:1 HTTP/1.0\r\n", "header"],
  ["HTTP in lower case", "CONNECT h:1 http/1.0\r\n", "header"],
  ["another protocol", "SSH-2.0-OpenSSH_9.2\r\n", "header"],
  ["HTTP/2", "PRI * HTTP/2.0\r\n", "version"],
  ["HTTP/0.9", "CONNECT h:1 HTTP/0.9\r\n", "version"],
  ["no port", "CONNECT example.com HTTP/1.0\r\n", "hostname"],
  ["an empty port", "CONNECT example.com: HTTP/1.0\r\n", "hostname"],
  ["port 0", "CONNECT example.com:0 HTTP/1.0\r\n", "hostname"],
  ["port 65536", "CONNECT example.com:65536 HTTP/1.0\r\n", "hostname"],
  ["a port with a sign", "CONNECT example.com:+80 HTTP/1.0\r\n", "hostname"],
  ["an empty hostname", "CONNECT :80 HTTP/1.0\r\n", "hostname"],
  ["a URL", "CONNECT http://h:80/ HTTP/1.0\r\n", "hostname"],
  ["user information", "CONNECT a@h:80 HTTP/1.0\r\n", "hostname"],
  [
    "an IPv6 address without brackets",
    "CONNECT ::1:80 HTTP/1.0\r\n",
    "hostname",
  ],
  [
    "an IPv4 address in brackets",
    "CONNECT [127.0.0.1]:80 HTTP/1.0\r\n",
    "hostname",
  ],
  ["a zone", "CONNECT [fe80::1%25lo]:80 HTTP/1.0\r\n", "hostname"],
  [
    "a name that ends in a number",
    "CONNECT 1.2.3.4.5:80 HTTP/1.0\r\n",
    "hostname",
  ],
  ["a name that is not ASCII", "CONNECT b\xfccher:80 HTTP/1.0\r\n", "hostname"],
  ["a percent-encoded name", "CONNECT a%2eb:80 HTTP/1.0\r\n", "hostname"],
  ["HTTP/1.1 without Host", "CONNECT h:1 HTTP/1.1\r\nA: b\r\n\r\n", "header"],
  [
    "Host twice",
    "CONNECT h:1 HTTP/1.1\r\nHost: h\r\nhost: h\r\n\r\n",
    "header",
  ],
  [
    "two logins",
    "CONNECT h:1 HTTP/1.0\r\nProxy-Authorization: a\r\nProxy-Authorization: a\r\n\r\n",
    "header",
  ],
  ["a folded field", "CONNECT h:1 HTTP/1.0\r\nA: b\r\n c\r\n\r\n", "header"],
  [
    "a fold before the first field",
    "CONNECT h:1 HTTP/1.0\r\n\tA: b\r\n\r\n",
    "header",
  ],
  [
    "a blank before the colon",
    "CONNECT h:1 HTTP/1.0\r\nA : b\r\n\r\n",
    "header",
  ],
  ["a field without a colon", "CONNECT h:1 HTTP/1.0\r\nabc\r\n\r\n", "header"],
  ["a field without a name", "CONNECT h:1 HTTP/1.0\r\n: b\r\n\r\n", "header"],
  ["content", "CONNECT h:1 HTTP/1.0\r\nContent-Length: 5\r\n\r\n", "header"],
  [
    "a strange length",
    "CONNECT h:1 HTTP/1.0\r\nContent-Length: +0\r\n\r\n",
    "header",
  ],
  [
    "a list of lengths",
    "CONNECT h:1 HTTP/1.0\r\nContent-Length: 0, 0\r\n\r\n",
    "header",
  ],
  [
    "two lengths",
    "CONNECT h:1 HTTP/1.0\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "header",
  ],
  [
    "a transfer coding",
    "CONNECT h:1 HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "header",
  ],
];

for (const [name, text, code] of badRequests) {
  test(`decodeRequest() rejects ${name}`, () => {
    assertRefuses(decodeRequest, latin1(text), code);
  });
}

test("decodeRequest() accepts a header of 16 KiB, and no larger one", () => {
  const [start, end] = ["CONNECT h:1 HTTP/1.0\r\nA: ", "\r\n\r\n"];
  const filled = (size: number) =>
    latin1(start + "x".repeat(size - start.length - end.length) + end);
  assertEquals(decodeRequest(filled(MAX_HEAD))?.size, MAX_HEAD);
  assertEquals(outcome(decodeRequest, filled(MAX_HEAD + 1)), "size");
  const endless = latin1("A".repeat(MAX_HEAD));
  assertEquals(outcome(decodeRequest, endless.subarray(1)), "more");
  assertEquals(outcome(decodeRequest, endless), "size");
});

test("decodeRequest() takes linear time for a field of blanks", () => {
  const blanks = " ".repeat(MAX_HEAD - 100);
  const text =
    `CONNECT h:1 HTTP/1.0\r\nA:${blanks}b${"\t"}\r\nB: x${" "}\r\n\r\n`;
  const started = performance.now();
  for (let i = 0; i < 20; i++) assert(decodeRequest(latin1(text)));
  const elapsed = performance.now() - started;
  assert(elapsed < 2_000, `${elapsed} ms`);
});

/** A row: name, the response, its status, and whether octets after it may follow. */
const responses: readonly (readonly [string, string, number])[] = [
  ["200", "HTTP/1.1 200 Connection established\r\n\r\n", 200],
  [
    "HTTP/1.0 with fields",
    "HTTP/1.0 200 OK\r\nProxy-agent: x\r\nVia: y\r\n\r\n",
    200,
  ],
  ["204", "HTTP/1.1 204 No Content\r\n\r\n", 204],
  ["no reason", "HTTP/1.1 200 \r\n\r\n", 200],
  ["no reason and no space", "HTTP/1.1 200\r\n\r\n", 200],
  ["lines that end in LF alone", "HTTP/1.0 200 OK\nA: b\n\n", 200],
  [
    "lengths that have no meaning",
    "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
    200,
  ],
  [
    "fields that are folded or none",
    "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nd\r\n\r\n",
    200,
  ],
  ["a reason that is not ASCII", "HTTP/1.1 403 Verbot\xe9n\r\n\r\n", 403],
  ["407", "HTTP/1.1 407 Login\r\nProxy-Authenticate: Basic\r\n\r\n", 407],
  [
    "an interim response",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    200,
  ],
  [
    "interim responses with fields",
    "HTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 102 \r\n\r\nHTTP/1.1 502 Bad\r\n\r\n",
    502,
  ],
  ["101 as a final response", "HTTP/1.1 101 Switching Protocols\r\n\r\n", 101],
  ["a status out of range", "HTTP/1.1 999 X\r\n\r\n", 999],
];

for (const [name, text, status] of responses) {
  test(`decodeResponse() accepts ${name}`, () => {
    assertTakes(decodeResponse, latin1(text), { status });
  });
}

const badResponses: readonly (readonly [string, string, string])[] = [
  ["the answer of a SOCKS5 proxy", "\x05", "header"],
  ["the answer of a SOCKS4 proxy", "\0", "header"],
  ["HTTP/2", "HTTP/2", "header"],
  ["HTML", "<", "header"],
  ["an SSH server", "S", "header"],
  ["a status of two digits", "HTTP/1.1 20\r\n", "header"],
  ["a status of four digits", "HTTP/1.1 2000 OK\r\n", "header"],
  ["no status", "HTTP/1.1 OK\r\n", "header"],
  ["a NUL in a field", "HTTP/1.1 200 OK\r\nA: \0", "header"],
  ["a CR without LF", "HTTP/1.1 200 OK\rx", "header"],
  [
    "garbage after an interim response",
    "HTTP/1.1 100 Continue\r\n\r\nx",
    "header",
  ],
];

for (const [name, text, code] of badResponses) {
  test(`decodeResponse() rejects ${name}`, () => {
    assertRefuses(decodeResponse, latin1(text), code);
  });
}

test("decodeResponse() waits for at most 16 KiB, interim responses included", () => {
  const interim = latin1("HTTP/1.1 100 Continue\r\n\r\n".repeat(2_000));
  assertEquals(
    outcome(decodeResponse, interim.subarray(0, MAX_HEAD - 1)),
    "more",
  );
  assertEquals(outcome(decodeResponse, interim), "size");
  const endless = latin1(`HTTP/1.1 200 OK\r\n${"A: b\r\n".repeat(3_000)}`);
  assertEquals(outcome(decodeResponse, endless), "size");
});

test("encodeRequest() writes the target, Host and the login", () => {
  const rows: [RequestFields, string][] = [
    [
      { hostname: "example.com", port: 443 },
      "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
    ],
    [
      { hostname: "::1", port: 1, login: { username: "al", password: "p:w" } },
      "CONNECT [::1]:1 HTTP/1.1\r\nHost: [::1]:1\r\n" +
      "Proxy-Authorization: Basic YWw6cDp3\r\n\r\n",
    ],
    [
      { hostname: "h", port: 1, login: { username: "", password: "" } },
      "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\nProxy-Authorization: Basic Og==\r\n\r\n",
    ],
  ];
  for (const [init, text] of rows) {
    const sent = encodeRequest(init);
    assertEquals(sent, latin1(text));
    const { hostname, port } = init;
    assertEquals(decodeRequest(sent)?.value.target, { hostname, port });
  }
});

test("encodeRequest() throws for whatever could add lines or change the target", () => {
  const inits: RequestFields[] = [
    { hostname: "h\r\nX: y", port: 1 },
    { hostname: "h\n", port: 1 },
    { hostname: "h HTTP/1.1", port: 1 },
    { hostname: "a@b", port: 1 },
    { hostname: "a/b", port: 1 },
    { hostname: "[::1]", port: 1 },
    { hostname: "fe80::1%1", port: 1 },
    { hostname: "", port: 1 },
    { hostname: "h", port: -1 },
    { hostname: "h", port: 65536 },
    { hostname: "h", port: "1\r\n" as never },
    { hostname: "h", port: 1, login: { username: "a\r\nb", password: "" } },
    { hostname: "h", port: 1, login: { username: "a", password: "\n" } },
    { hostname: "h", port: 1, login: { username: "a:b", password: "" } },
    {
      hostname: "h",
      port: 1,
      login: { username: "a", password: "x".repeat(MAX_HEAD) },
    },
  ];
  for (const init of inits) {
    assertThrows(
      () => encodeRequest(init),
      TypeError,
      undefined,
      JSON.stringify(init),
    );
  }
});

test("encodeResponse() writes fields and text only if the request is not granted", () => {
  const written = (status: number, text?: string) =>
    new TextDecoder().decode(encodeResponse(status, text));
  assertEquals(
    written(200, "ignored"),
    "HTTP/1.1 200 Connection established\r\n\r\n",
  );
  assertEquals(
    written(502, "größer\n"),
    "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\n" +
      "Content-Length: 9\r\nConnection: close\r\n\r\ngrößer\n",
  );
  assert(written(405).includes("\r\nAllow: CONNECT\r\n"));
  const challenge =
    '\r\nProxy-Authenticate: Basic realm="proxy", charset="UTF-8"\r\n';
  assert(written(407).includes(challenge));
  for (const status of [200, 400, 403, 405, 407, 431, 501, 502, 504, 505]) {
    assertEquals(decodeResponse(encodeResponse(status))?.value, { status });
  }
  assertThrows(() => encodeResponse(299), TypeError);
});

test("statusText() names common statuses", () => {
  assertEquals(statusText(504), "504 Gateway Timeout");
  assertEquals(statusText(200), "200 Connection established");
  assertEquals(statusText(777), "777");
});

test("statusOfReply() and replyOfStatus() map errors to errors, and success to 200", () => {
  assertEquals(
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 255].map(statusOfReply),
    [200, 502, 403, 502, 504, 502, 504, 501, 502, 502, 502],
  );
  for (let status = 0; status < 1_000; status++) {
    const reply = replyOfStatus(status);
    assert(reply >= 1 && reply <= 8, `${status}: ${reply}`);
  }
  const statuses = [403, 404, 405, 407, 500, 501, 502, 503, 504];
  assertEquals(statuses.map(replyOfStatus), [2, 1, 7, 1, 1, 7, 4, 1, 4]);
});
