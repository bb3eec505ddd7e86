/** HTTP CONNECT on the server's port. */

import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  Metrics,
  OptionError,
  rules,
  serve,
  type ServeOptions,
  userPass,
} from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { test } from "../support/harness.ts";
import {
  closedPort,
  echo,
  reasonOf,
  startServer,
  startTarget,
  type TestServer,
} from "../support/server.ts";
import { hex } from "../support/raw.ts";
import { octets } from "../support/table.ts";
import { withNames } from "../support/world.ts";
import {
  connectedPair,
  pattern,
  readAll,
  readExactly,
} from "../transport/contract.ts";

const GRANTED = "HTTP/1.1 200 Connection established\r\n\r\n";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function request(port: number, fields = "", hostname = "127.0.0.1"): string {
  return `CONNECT ${hostname}:${port} HTTP/1.1\r\nHost: x\r\n${fields}\r\n`;
}

const basic = (login: string) =>
  `Proxy-Authorization: Basic ${btoa(login)}\r\n`;

async function connected(
  server: TestServer,
  port: number,
  fields?: string,
): Promise<Conn> {
  const client = await server.client();
  await client.write(encode(request(port, fields)));
  assertEquals(decode(await readExactly(client, GRANTED.length)), GRANTED);
  return client;
}

/** Sends a text; returns everything until the server's FIN. */
async function exchange(server: TestServer, text: string): Promise<string> {
  const client = await server.client();
  await client.write(encode(text));
  const answer = decode(await readAll(client));
  client.close();
  return answer;
}

test("serve() relays an HTTP CONNECT, bytes sent with the request and after a FIN included", async () => {
  const target = await startTarget(echo);
  const server = await startServer({ http: true });
  const client = await server.client();
  const early = pattern(50_000);
  await client.write(encode(request(target.addr.port)));
  await client.write(early);
  assertEquals(decode(await readExactly(client, GRANTED.length)), GRANTED);
  assertEquals(await readExactly(client, early.length), early);
  await client.write(octets("01 02 03"));
  await client.closeWrite();
  assertEquals(await readAll(client), octets("01 02 03"));

  const { session, reason } = await server.ended();
  assertEquals(reason, "finished");
  const { protocol, version, method, user, command, reply } = session;
  assertEquals(
    { protocol, version, method, user, command, reply },
    {
      protocol: "http",
      version: undefined,
      method: "none",
      user: undefined,
      command: "connect",
      reply: 200,
    },
  );
  assertEquals(session.target, target.addr);
  assertEquals(session.targetAddr, target.addr);
  assertEquals([session.sent, session.received], [50_003, 50_003]);
  const types = server.events.map(({ type }) => type);
  assertEquals(types, [
    "listening",
    "session-start",
    "auth",
    "request",
    "reply",
    "session-end",
  ]);
  await server.close();
  await target.close();
});

test("serve() relays an HTTP CONNECT whose request arrives byte by byte", async () => {
  const target = await startTarget(echo);
  const server = await startServer({ http: true, timeouts: { handshake: 0 } });
  const client = await server.client();
  for (const byte of encode(`${request(target.addr.port)}early`)) {
    await client.write(Uint8Array.of(byte));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const expected = `${GRANTED}early`;
  assertEquals(decode(await readExactly(client, expected.length)), expected);
  await server.close();
  await target.close();
});

test("serve() serves SOCKS and HTTP on one port, with the same logins and rules", async () => {
  const target = await startTarget(echo);
  const { port } = target.addr;
  const server = await startServer({
    http: true,
    auth: [userPass({ al: "pw", bo: "pw" })],
    policy: rules([`allow user al 127.0.0.1:${port}`]),
  });
  const http = await connected(server, port, basic("al:pw"));
  assertEquals(server.server.sessions[0].user, "al");
  const socks = await server.client();
  await socks.write(octets('05 01 02 01 02 "al" 02 "pw"'));
  assertEquals(hex(await readExactly(socks, 4)), "05 02 01 00");

  const denied = await exchange(server, request(port, basic("bo:pw")));
  assertStringIncludes(denied, "HTTP/1.1 403 Forbidden\r\n");
  const { session, reason } = await server.ended();
  assertEquals([session.user, session.reply, reason], ["bo", 403, "refused"]);
  const elsewhere = await exchange(server, request(port + 1, basic("al:pw")));
  assertStringIncludes(elsewhere, "HTTP/1.1 403 Forbidden\r\n");
  const anonymous = await exchange(server, request(port));
  assertStringIncludes(
    anonymous,
    "HTTP/1.1 407 Proxy Authentication Required\r\n",
  );
  assertEquals(target.conns.length, 1);
  http.close();
  socks.close();
  await server.close();
  await target.close();
});

/** A row: name, options, the request, and the status and text that the client gets. */
const refusals: [
  string,
  ServeOptions,
  (port: number) => string,
  string,
  string,
][] = [
  [
    "a target that refuses",
    {},
    request,
    "502 Bad Gateway",
    "The proxy could not connect: connection refused.\n",
  ],
  [
    "a name that cannot be resolved",
    await withNames({}),
    () => request(80, "", "nobody.test"),
    "504 Gateway Timeout",
    "The proxy could not connect: host unreachable.\n",
  ],
  [
    "an error of a dialer",
    { dial: () => Promise.reject(Object.assign(new Error(), { reply: 8 })) },
    request,
    "502 Bad Gateway",
    "The proxy could not connect: address type not supported.\n",
  ],
  [
    "a request without an absolute URL",
    {},
    () => "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
    "400 Bad Request",
    "The request is not valid: this is a proxy, which needs an http: URL.\n",
  ],
  [
    "a request that is malformed",
    {},
    () => "CONNECT example.com HTTP/1.1\r\nHost: x\r\n\r\n",
    "400 Bad Request",
    "The request is not valid: the target of CONNECT is not HOST:PORT.\n",
  ],
  [
    "a header that is too large",
    {},
    () => request(1, `A: ${"b".repeat(20_000)}\r\n`),
    "431 Request Header Fields Too Large",
    "The request is not valid: an HTTP header has more than 16384 octets.\n",
  ],
];

for (const [name, options, requestFor, status, text] of refusals) {
  test(`serve() answers ${name} of an HTTP client with ${status}`, async () => {
    const server = await startServer({ http: true, ...options });
    const answer = await exchange(server, requestFor(await closedPort()));
    const [head, body] = answer.split("\r\n\r\n");
    const [first, ...fields] = head.split("\r\n");
    assertEquals([first, body], [`HTTP/1.1 ${status}`, text]);
    assertEquals(fields.includes(`Content-Length: ${text.length}`), true, head);
    assertEquals(fields.includes("Connection: close"), true, head);
    const { session } = await server.ended();
    assertEquals(`${session.reply}`, status.slice(0, 3));
    await server.close();
  });
}

test("serve() ends an HTTP header that never ends after the handshake timeout", async () => {
  const server = await startServer({
    http: true,
    timeouts: { handshake: 100 },
  });
  const client = await server.client();
  await client.write(encode("CONNECT a:80 HTTP/1.1\r\nHost: x\r\n"));
  assertEquals((await readAll(client)).length, 0);
  assertEquals(await reasonOf(server), "handshake-timeout");
  await server.close();
});

test("server.update() starts and stops serving HTTP", async () => {
  const target = await startTarget(echo);
  const server = await startServer();
  const text = request(target.addr.port);
  assertStringIncludes(await exchange(server, text), "400 Bad Request");
  await server.server.update({ http: true });
  const client = await connected(server, target.addr.port);
  await server.server.update({ http: undefined });
  assertStringIncludes(await exchange(server, text), "400 Bad Request");
  await client.write(octets("01 02"));
  assertEquals(await readExactly(client, 2), octets("01 02"));
  client.close();
  await server.close();
  await target.close();
});

test("serve() refuses to be an open proxy with HTTP as well, and values other than true and false", async () => {
  const open = await assertRejects(
    () => serve({ http: true, hostname: "0.0.0.0", port: 0 }),
    OptionError,
  );
  assertEquals([open.option, open.code], ["openProxy", "open-proxy"]);
  const wrong = await assertRejects(
    () => serve({ http: "false" as never, port: 0 }),
    OptionError,
  );
  assertEquals([wrong.option, wrong.code], ["http", "invalid"]);
});

test("server.handle() closes special-purpose addresses to exposed HTTP clients", async () => {
  const target = await startTarget();
  const server = await startServer({
    http: true,
    listen: false,
    auth: [userPass({ al: "pw" })],
  });
  const { near, far, close } = await connectedPair(
    await detectTransport(),
  );
  server.server.handle(far, { exposed: true });
  await near.write(encode(request(target.addr.port, basic("al:pw"))));
  const answer = decode(await readAll(near));
  assertStringIncludes(answer, "HTTP/1.1 403 Forbidden\r\n");
  assertEquals(target.conns.length, 0);
  await close();
  await server.close();
  await target.close();
});

test("Metrics counts HTTP requests and replies by their statuses", async () => {
  const metrics = new Metrics();
  const server = await startServer({ http: true, onEvent: metrics.onEvent });
  await exchange(server, request(await closedPort()));
  await server.ended();
  const values = metrics.read();
  assertEquals(
    [
      values['socks5_requests_total{version="http",command="connect"}'],
      values['socks5_replies_total{version="http",reply="502"}'],
      values['socks5_logins_total{method="none",result="ok"}'],
    ],
    [1, 1, 1],
  );
  await server.close();
});
