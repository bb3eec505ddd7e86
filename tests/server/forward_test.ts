/** HTTP requests in absolute form on the server's port. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  Metrics,
  rules,
  type ServeOptions,
  userPass,
} from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { test } from "../support/harness.ts";
import {
  closedPort,
  echo,
  startServer,
  startTarget,
  type Target,
  type TestServer,
} from "../support/server.ts";
import { fromLatin1, latin1 } from "../support/text.ts";
import { connectedPair, pattern, readAll } from "../transport/contract.ts";

const basic = (login: string) =>
  `Proxy-Authorization: Basic ${btoa(login)}\r\n`;

/** Reads up to the end of this text, or up to the end of the stream; puts the rest back. */
async function readTo(conn: Conn, end: string): Promise<string> {
  let got = "";
  while (!got.includes(end)) {
    const chunk = await conn.read();
    if (chunk === null) return `${got}|FIN`;
    got += fromLatin1(chunk);
  }
  const size = got.indexOf(end) + end.length;
  conn.unread(latin1(got.slice(size)));
  return got.slice(0, size);
}

/** Everything up to FIN, or up to the failure of the connection. */
async function readRest(conn: Conn): Promise<string> {
  let got = "";
  try {
    for (let c = await conn.read(); c; c = await conn.read()) {
      got += fromLatin1(c);
    }
    return `${got}|FIN`;
  } catch {
    return `${got}|RST`;
  }
}

/**
 * A target that reads up to `end` and sends `response`, a short one every second time octet by
 * octet;
 * `requests` has what it has read.
 */
async function respond(
  response: string,
  end = "\r\n\r\n",
): Promise<Target & { requests: string[] }> {
  const requests: string[] = [];
  const target = await startTarget(async (conn) => {
    try {
      const request = await readTo(conn, end);
      const isSlow = requests.push(request) % 2 === 0 &&
        response.length < 1_000;
      const size = isSlow ? 1 : response.length;
      for (let at = 0; at < response.length; at += size) {
        await conn.write(latin1(response.slice(at, at + size)));
        if (isSlow) await new Promise((resolve) => setTimeout(resolve));
      }
      await conn.closeWrite();
      await readRest(conn);
    } catch {
      // The proxy has closed the connection.
    }
  });
  return { ...target, requests };
}

function get(port: number, fields = "", path = "/"): string {
  return `GET http://127.0.0.1:${port}${path} HTTP/1.1\r\nHost: x\r\n${fields}\r\n`;
}

const KEPT = "Connection: keep-alive\r\nKeep-Alive: timeout=10\r\n";
const HELLO = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const KEPT_HELLO = `HTTP/1.1 200 OK\r\nContent-Length: 5\r\n${KEPT}\r\nhello`;

async function withServer(
  options: ServeOptions,
  use: (server: TestServer, client: Conn) => Promise<void>,
): Promise<void> {
  const server = await startServer({ http: true, ...options });
  try {
    await use(server, await server.client());
  } finally {
    await server.close();
  }
}

test("serve() forwards HTTP requests to several targets on one connection, each as a session", async () => {
  const one = await respond(HELLO);
  const two = await respond(HELLO);
  await withServer(
    { auth: [userPass({ al: "pw", bo: "pw" })] },
    async (server, client) => {
      const requests: [Target, string][] = [
        [one, "al"],
        [two, "bo"],
        [one, "al"],
      ];
      for (const [{ addr }, user] of requests) {
        await client.write(latin1(get(addr.port, basic(`${user}:pw`), "/a?b")));
        assertEquals(await readTo(client, "hello"), KEPT_HELLO);
        const { session, reason } = await server.ended();
        const { protocol, command, target, targetAddr, reply } = session;
        assertEquals([session.user, session.method, reason], [
          user,
          "password",
          "finished",
        ]);
        assertEquals([protocol, command, reply], ["http", "forward", 200]);
        assertEquals([target, targetAddr], [addr, addr]);
        const sent = `GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:${addr.port}\r\n` +
          "Connection: close\r\n\r\n";
        assertEquals([session.sent, session.received], [
          sent.length,
          KEPT_HELLO.length,
        ]);
        const { requests } = addr === one.addr ? one : two;
        assertEquals(requests.at(-1), sent);
      }
      assertEquals([one.conns.length, two.conns.length], [2, 1]);
      const each = ["session-start", "auth", "request", "reply", "session-end"];
      assertEquals(server.events.map(({ type }) => type), [
        "listening",
        ...each,
        ...each,
        ...each,
      ]);
      const [, ...ids] = new Set(
        server.events.map((it) => "session" in it ? it.session.id : 0),
      );
      assertEquals(ids, [1, 2, 3]);
    },
  );
  await one.close();
  await two.close();
});

/** A row: name, method, fields and content of the request, and those that the target gets. */
const uploads: readonly [string, string, string, string][] = [
  ["no content", "POST", "A: b\r\n\r\n", "A: b\r\n"],
  [
    "an empty content",
    "POST",
    "Content-Length: 0\r\n\r\n",
    "Content-Length: 0\r\n",
  ],
  [
    "a length",
    "POST",
    "Content-Length: 3\r\n\r\nabc",
    "Content-Length: 3\r\n|abc",
  ],
  [
    "chunks, extensions and trailers",
    "PUT",
    "Transfer-Encoding: chunked\r\nTrailer: C\r\n\r\n1;x=y\r\na\r\n2\r\nbc\r\n0\r\nC: d\r\n\r\n",
    "Transfer-Encoding: chunked\r\n|abc",
  ],
];

for (const [name, method, sent, received] of uploads) {
  test(`serve() forwards a request with ${name}, also octet by octet`, async () => {
    const isChunked = received.includes("chunked");
    const [fields, content = ""] = received.split("|");
    const end = isChunked ? "\r\n0\r\n\r\n" : `\r\n\r\n${content}`;
    const target = await respond(HELLO, end);
    await withServer({}, async (_, client) => {
      const { port } = target.addr;
      const request =
        `${method} http://127.0.0.1:${port} HTTP/1.1\r\nHost: x\r\n${sent}`;
      await client.write(latin1(request));
      assertEquals(await readTo(client, "hello"), KEPT_HELLO);
      for (const octet of latin1(request)) {
        await client.write(Uint8Array.of(octet));
        await new Promise((resolve) => setTimeout(resolve));
      }
      assertEquals(await readTo(client, "hello"), KEPT_HELLO);
      const [whole, pieces] = target.requests.map(unchunked);
      assertEquals(whole, pieces);
      assertEquals(
        whole,
        `${method} / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${fields}` +
          `Connection: close\r\n\r\n${content}`,
      );
    });
    await target.close();
  });
}

/** A message with its chunks joined. */
function unchunked(message: string): string {
  const [head, ...rest] = message.split("\r\n\r\n");
  if (!head.includes("chunked")) return message;
  const content = rest.join("\r\n\r\n").replaceAll(
    /[\da-f]+\r\n(.*?)\r\n/g,
    "$1",
  );
  return `${head}\r\n\r\n${content.replace("0\r\n\r\n", "")}`;
}

/** A row: name, the request's method and version, the response, and what the client gets. */
const downloads: readonly [string, string, string, string][] = [
  ["a length", "GET 1", HELLO, KEPT_HELLO],
  [
    "a length, and octets after its end",
    "GET 1",
    `${HELLO}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`,
    KEPT_HELLO,
  ],
  [
    "chunks, extensions and trailers",
    "GET 1",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
    "2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nA: b\r\n\r\nevil",
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n${KEPT}\r\n5\r\nhello\r\n0\r\n\r\n`,
  ],
  [
    "the end of the connection",
    "GET 1",
    "HTTP/1.0 200 OK\r\nA: b\r\n\r\nhello",
    `HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n${KEPT}\r\n5\r\nhello\r\n0\r\n\r\n`,
  ],
  [
    "no content, and the end of the connection",
    "GET 1",
    "HTTP/1.1 200 OK\r\n\r\n",
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n${KEPT}\r\n0\r\n\r\n`,
  ],
  [
    "chunks, for HTTP/1.0",
    "GET 0",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello|FIN",
  ],
  [
    "a length, for HTTP/1.0",
    "GET 0",
    HELLO,
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello|FIN",
  ],
  [
    "HEAD",
    "HEAD 1",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!",
    `HTTP/1.1 200 OK\r\nContent-Length: 5\r\n${KEPT}\r\n`,
  ],
  [
    "204",
    "GET 1",
    "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n",
    `HTTP/1.1 204 No Content\r\n${KEPT}\r\n`,
  ],
  [
    "304",
    "GET 1",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil",
    `HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n${KEPT}\r\n`,
  ],
  [
    "interim responses",
    "GET 1",
    `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n${HELLO}`,
    `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n${KEPT_HELLO}`,
  ],
  [
    "interim responses, for HTTP/1.0",
    "GET 0",
    `HTTP/1.1 100 Continue\r\n\r\n${HELLO}`,
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello|FIN",
  ],
  [
    "fields for the proxy alone",
    "GET 1",
    "HTTP/1.1 404 No\xe9\r\nConnection: x\r\nX: 1\r\nUpgrade: h2c\r\n" +
    "Proxy-Authenticate: Basic\r\nKeep-Alive: timeout=99\r\nA: b\r\nContent-Length: 0\r\n\r\n",
    `HTTP/1.1 404 No\xe9\r\nA: b\r\nContent-Length: 0\r\n${KEPT}\r\n`,
  ],
];

for (const [name, request, response, expected] of downloads) {
  test(`serve() forwards a response with ${name}`, async () => {
    const target = await respond(response);
    await withServer({}, async (server, client) => {
      const [method, minor] = request.split(" ");
      const text =
        `${method} http://127.0.0.1:${target.addr.port}/ HTTP/1.${minor}\r\n` +
        "Host: x\r\n\r\n";
      await client.write(latin1(text));
      const isLast = expected.endsWith("|FIN");
      const answer = isLast
        ? await readRest(client)
        : await readTo(client, expected.slice(-20));
      assertEquals(answer, expected);
      if (isLast) client.close();
      const { session, reason } = await server.ended();
      assertEquals([session.reply, reason], [
        Number(/200|204|304|404/.exec(expected)![0]),
        "finished",
      ]);
      if (isLast) return;
      // Nothing of the response is left for the next request, whose response comes octet
      // by octet.
      await client.write(latin1(text));
      const next = await readTo(client, expected.slice(-7));
      assertEquals(unchunked(next), unchunked(expected));
    });
    await target.close();
  });
}

/** A row: name, response. */
const hostile: readonly [string, string][] = [
  ["another protocol", "SSH-2.0-OpenSSH\r\n"],
  ["nothing", ""],
  ["a header that is cut off", "HTTP/1.1 200 OK\r\nContent-Le"],
  [
    "two lengths",
    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 40\r\n\r\nevil",
  ],
  [
    "a length and chunks",
    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  ],
  ["an upgrade", "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\nevil"],
  [
    "a request for the login to the proxy",
    'HTTP/1.1 407 Login\r\nProxy-Authenticate: Basic realm="proxy"\r\n\r\n',
  ],
  ["a line that ends in LF", "HTTP/1.1 200 OK\nA: b\n\n"],
  ["a folded field", "HTTP/1.1 200 OK\r\nA: b\r\n c: d\r\n\r\n"],
  ["a long header", `HTTP/1.1 200 OK\r\nA: ${"b".repeat(17_000)}\r\n\r\n`],
  ["interim responses without end", "HTTP/1.1 100 a\r\n\r\n".repeat(1_000)],
];

for (const [name, response] of hostile) {
  test(`serve() responds with 502 to an HTTP request whose target sends ${name}`, async () => {
    const target = await respond(response);
    await withServer({}, async (server, client) => {
      await client.write(latin1(get(target.addr.port)));
      const answer = (await readRest(client)).replaceAll(
        "HTTP/1.1 100 a\r\n\r\n",
        "",
      );
      const [head, text] = answer.split("\r\n\r\n");
      assertStringIncludes(head, "HTTP/1.1 502 Bad Gateway\r\n");
      assertStringIncludes(head, "\r\nConnection: close");
      assertStringIncludes(text, "The target sent no valid response: ");
      assertEquals(/evil|Basic/.test(answer), false, answer);
      client.close();
      const { session, reason } = await server.ended();
      assertEquals([session.reply, reason], [502, "refused"]);
    });
    await target.close();
  });
}

/** A row: name, response; the client must not take what it gets for a complete response. */
const cutOff: readonly [string, string][] = [
  ["a length", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"],
  [
    "chunks",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
  ],
  [
    "chunks, with a malformed one",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx",
  ],
];

for (const [name, response] of cutOff) {
  test(`serve() cuts off a response with ${name} when its target does`, async () => {
    const target = await respond(response);
    await withServer({}, async (server, client) => {
      await client.write(latin1(get(target.addr.port)));
      const answer = await readRest(client);
      assertEquals(answer.includes("\r\n0\r\n\r\n"), false, answer);
      client.close();
      const { session, reason } = await server.ended();
      assertEquals([session.reply, reason], [200, "target-gone"]);
    });
    await target.close();
  });
}

test("serve() judges each request of a connection anew, by its login and its target", async () => {
  const target = await respond(HELLO);
  const other = await respond(HELLO);
  const { port } = target.addr;
  const policy = rules([`allow user al 127.0.0.1:${port}`, "deny *"]);
  const auth = [userPass({ al: "pw", bo: "pw" })];
  /** A row: the second request, its status. */
  const second: [string, string][] = [
    [get(port), "407 Proxy Authentication Required"],
    [get(port, basic("al:px")), "407 Proxy Authentication Required"],
    [get(port, basic("bo:pw")), "403 Forbidden"],
    [get(other.addr.port, basic("al:pw")), "403 Forbidden"],
    [
      `CONNECT 127.0.0.1:${other.addr.port} HTTP/1.1\r\nHost: x\r\n${
        basic("al:pw")
      }\r\n`,
      "403 Forbidden",
    ],
    ["\x05\x01\x00", "\x05\xff|FIN"],
  ];
  for (const [request, status] of second) {
    await withServer({ policy, auth }, async (_, client) => {
      await client.write(latin1(get(port, basic("al:pw"))));
      assertEquals(await readTo(client, "hello"), KEPT_HELLO);
      await client.write(latin1(request));
      assertStringIncludes(await readRest(client), status);
    });
  }
  assertEquals([target.conns.length, other.conns.length], [second.length, 0]);
  await target.close();
  await other.close();
});

test("serve() asks the policy about a forwarded request as about a CONNECT", async () => {
  const asked: unknown[] = [];
  await withServer({
    policy: ({ command, hostname, port, session }) => {
      asked.push([command, session.command, hostname, port]);
      return false;
    },
  }, async (_, client) => {
    await client.write(latin1("GET http://a.test:81/ HTTP/1.0\r\n\r\n"));
    assertStringIncludes(await readRest(client), "403 Forbidden");
  });
  assertEquals(asked, [["connect", "forward", "a.test", 81]]);
});

test("serve() answers requests that are pipelined in their order", async () => {
  const targets = [await respond(HELLO), await respond(HELLO)];
  await withServer({}, async (_, client) => {
    const [one, two] = targets.map(({ addr }) => addr.port);
    const post = `POST http://127.0.0.1:${two}/ HTTP/1.1\r\nHost: x\r\n` +
      "Content-Length: 5\r\n\r\nabcde";
    await client.write(latin1(get(one) + post + get(one)));
    for (let i = 0; i < 3; i++) {
      assertEquals(await readTo(client, "hello"), KEPT_HELLO);
    }
    assertEquals(targets.map((it) => it.conns.length), [2, 1]);
  });
  for (const it of targets) await it.close();
});

test("serve() serves a CONNECT on a connection after a forwarded request", async () => {
  const target = await respond(HELLO);
  const echoing = await startTarget(echo);
  await withServer({}, async (server, client) => {
    await client.write(latin1(get(target.addr.port)));
    assertEquals(await readTo(client, "hello"), KEPT_HELLO);
    const where = `127.0.0.1:${echoing.addr.port}`;
    await client.write(
      latin1(`CONNECT ${where} HTTP/1.1\r\nHost: x\r\n\r\nabc`),
    );
    assertStringIncludes(await readTo(client, "abc"), " 200 ");
    await client.closeWrite();
    assertEquals((await readAll(client)).length, 0);
    const ends = [await server.ended(), await server.ended()];
    assertEquals(ends.map(({ session }) => session.command), [
      "forward",
      "connect",
    ]);
  });
  await target.close();
  await echoing.close();
});

test("serve() passes on an expectation, the interim response and then the content", async () => {
  const target = await startTarget(async (conn) => {
    assertStringIncludes(
      await readTo(conn, "\r\n\r\n"),
      "Expect: 100-continue",
    );
    await conn.write(latin1("HTTP/1.1 100 Continue\r\n\r\n"));
    await readTo(conn, "abc");
    await conn.write(latin1(HELLO));
  });
  await withServer({}, async (_, client) => {
    const head =
      `PUT http://127.0.0.1:${target.addr.port}/ HTTP/1.1\r\nHost: x\r\n` +
      "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    await client.write(latin1(head));
    const interim = "HTTP/1.1 100 Continue\r\n\r\n";
    assertEquals(await readTo(client, interim), interim);
    await client.write(latin1("abc"));
    assertEquals(await readTo(client, "hello"), KEPT_HELLO);
  });
  await target.close();
});

test("serve() closes a connection after a response that came before the end of the request", async () => {
  const target = await respond(HELLO);
  await withServer({}, async (server, client) => {
    const head =
      `PUT http://127.0.0.1:${target.addr.port}/ HTTP/1.1\r\nHost: x\r\n` +
      "Content-Length: 1000\r\n\r\nabc";
    await client.write(latin1(head));
    assertEquals(
      await readRest(client),
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello|FIN",
    );
    client.close();
    assertEquals((await server.ended()).reason, "finished");
  });
  await target.close();
});

test("serve() sends a response to the end although the client still sends a long request", async () => {
  const silent = await startTarget(async (conn) => {
    await conn.write(latin1(HELLO));
  });
  const refused = await closedPort();
  const rows: [number, string][] = [
    [silent.addr.port, "HTTP/1.1 200 OK\r\n"],
    [refused, "HTTP/1.1 502 Bad Gateway\r\n"],
  ];
  // Its time does not pass: a slow machine may need more than 2 s.
  const transport = { ...await detectTransport(), clock: new FakeClock() };
  await withServer({ transport }, async (server) => {
    for (const [port, status] of rows) {
      const client = await server.client();
      const size = 16 * 1024 * 1024;
      const head =
        `PUT http://127.0.0.1:${port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: ${size}\r\n\r\n`;
      await client.write(latin1(head));
      const block = new Uint8Array(256 * 1024);
      for (let sent = 0; sent < size; sent += block.length) {
        await client.write(block);
      }
      const response = await readRest(client);
      assertEquals(response.slice(0, status.length), status);
      assertEquals(response.slice(-4), "|FIN");
      client.close();
    }
  });
  await silent.close();
});

test("serve() sends a response to the end when a shutdown begins, although further requests wait", async () => {
  const target = await startTarget();
  const { port } = target.addr;
  const transport = { ...await detectTransport(), clock: new FakeClock() };
  await withServer({ transport }, async (server, client) => {
    const sent = client.write(latin1(get(port).repeat(8_000)));
    const conn = await target.accepted();
    await readTo(conn, "\r\n\r\n");
    await conn.write(latin1("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"));
    await readTo(client, "\r\n\r\nhel");
    const closed = server.server.shutdown({ grace: 10_000 });
    await conn.write(latin1("lo"));
    assertEquals(await readRest(client), "lo|FIN");
    await sent;
    client.close();
    await closed;
  });
  await target.close();
});

/** A row: name, fields and content, status, reason. */
const badContents: readonly [string, string, string, string][] = [
  [
    "a malformed chunk",
    "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx\r\n",
    "400 Bad Request",
    "protocol-error",
  ],
  [
    "a chunk that cannot be counted",
    "Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n",
    "413 Content Too Large",
    "protocol-error",
  ],
  [
    "an endless extension",
    `Transfer-Encoding: chunked\r\n\r\n1;${"a".repeat(300)}`,
    "431 Request Header Fields Too Large",
    "protocol-error",
  ],
];

for (const [name, rest, status, reason] of badContents) {
  test(`serve() refuses the content of a request with ${name}, and resets its target`, async () => {
    let received: Promise<string> | undefined;
    const target = await startTarget((conn) => received = readRest(conn));
    await withServer({}, async (server, client) => {
      const head =
        `PUT http://127.0.0.1:${target.addr.port}/ HTTP/1.1\r\nHost: x\r\n`;
      await client.write(latin1(head + rest));
      assertStringIncludes(await readRest(client), `HTTP/1.1 ${status}\r\n`);
      client.close();
      assertEquals((await server.ended()).reason, reason);
      // The target cannot take the request for a complete one.
      assertEquals((await received)!.includes("\r\n0\r\n\r\n"), false);
    });
    await target.close();
  });
}

test("serve() resets the target of a request that is cut off", async () => {
  let received: Promise<string> | undefined;
  const target = await startTarget((conn) => received = readRest(conn));
  await withServer({}, async (server, client) => {
    const head =
      `PUT http://127.0.0.1:${target.addr.port}/ HTTP/1.1\r\nHost: x\r\n` +
      "Content-Length: 5\r\n\r\nabc";
    await client.write(latin1(head));
    await target.accepted();
    await client.closeWrite();
    assertEquals((await server.ended()).reason, "client-gone");
    assertEquals((await received)!.includes("abcde"), false);
  });
  await target.close();
});

test("serve() serves a client that sends FIN after its request, and resets the target of one that has gone", async () => {
  const target = await respond(HELLO);
  await withServer({}, async (_, client) => {
    await client.write(latin1(get(target.addr.port)));
    await client.closeWrite();
    assertEquals(await readRest(client), `${KEPT_HELLO}|FIN`);
  });
  await target.close();

  const silent = await startTarget();
  await withServer({}, async (server, client) => {
    await client.write(latin1(get(silent.addr.port)));
    const conn = await silent.accepted();
    await readTo(conn, "\r\n\r\n");
    await client.write(latin1("early")); // so that closing resets on each runtime
    server.server.sessions[0].close();
    assertEquals((await server.ended()).reason, "closed");
    assertEquals((await readRest(conn)).startsWith("|"), true);
  });
  await silent.close();
});

/** A row: name, what the target sends before it falls silent, what the client gets, reason. */
const silences: readonly [string, string, RegExp, string][] = [
  ["a response", "", /^HTTP\/1\.1 504 Gateway Timeout\r\n/, "refused"],
  [
    "the end of one",
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
    /^HTTP\/1\.1 200 OK\r\n|^\|RST/,
    "idle",
  ],
];

for (const [name, sent, expected, reason] of silences) {
  test(`serve() waits for ${name} no longer than the idle time`, async () => {
    const target = await startTarget(async (conn) => {
      await conn.write(latin1(sent));
    });
    await withServer({ timeouts: { idle: 200 } }, async (server, client) => {
      await client.write(latin1(get(target.addr.port)));
      const answer = await readRest(client);
      assertEquals(expected.test(answer), true, answer);
      client.close();
      assertEquals((await server.ended()).reason, reason);
    });
    await target.close();
  });
}

test("serve() closes a kept connection after the handshake timeout, without an event", async () => {
  const target = await startTarget();
  await withServer({}, async (server, client) => {
    await client.write(latin1(get(target.addr.port)));
    const conn = await target.accepted();
    await readTo(conn, "\r\n\r\n");
    const timeouts = { handshake: 50 };
    await server.server.update({ http: true, timeouts });
    await conn.write(latin1(HELLO));
    // The time is too short to announce it in seconds.
    assertEquals(await readRest(client), `${HELLO}|FIN`);
    assertEquals((await server.ended()).reason, "finished");
    assertEquals(server.server.sessions.length, 0);
    const ends = server.events.filter(({ type }) => type === "session-end");
    assertEquals([ends.length, server.events.at(-1)], [1, ends[0]]);
  });
  await target.close();
});

test("serve() gives a request on a kept connection the handshake timeout from its first byte", async () => {
  const target = await respond(HELLO);
  const clock = new FakeClock();
  const transport = { ...await detectTransport(), clock };
  let begins = () => {};
  const onEvent: ServeOptions["onEvent"] = ({ type }) =>
    type === "session-start" && begins();
  await withServer({ transport, onEvent }, async (server, client) => {
    const request = get(target.addr.port);
    await client.write(latin1(request));
    assertEquals(await readTo(client, "hello"), KEPT_HELLO);
    await server.ended();
    clock.advance(9_999);
    const begun = new Promise<void>((resolve) => begins = resolve);
    await client.write(latin1(request.slice(0, 20)));
    await begun;
    clock.advance(9_999);
    await client.write(latin1(request.slice(20)));
    assertEquals(await readTo(client, "hello"), KEPT_HELLO);
    await server.ended();
    const again = new Promise<void>((resolve) => begins = resolve);
    await client.write(latin1(request.slice(0, 20)));
    await again;
    clock.advance(10_000);
    assertEquals(await readRest(client), "|FIN");
    assertEquals((await server.ended()).reason, "handshake-timeout");
  });
  await target.close();
});

test("server.shutdown() closes kept connections at once, and others after their response", async () => {
  const target = await respond(HELLO);
  const slow = await startTarget();
  await withServer({ timeouts: { handshake: 0 } }, async (server, client) => {
    await client.write(latin1(get(target.addr.port)));
    await readTo(client, "hello");
    const busy = await server.client();
    await busy.write(latin1(get(slow.addr.port)));
    const conn = await slow.accepted();
    await readTo(conn, "\r\n\r\n");
    const closed = server.server.shutdown({ grace: 0x7fff_ffff });
    assertEquals(await readRest(client), "|FIN");
    await conn.write(latin1(HELLO));
    assertEquals(
      await readRest(busy),
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello|FIN",
    );
    busy.close();
    await closed;
  });
  await target.close();
  await slow.close();
});

test("serve() keeps no connection when the end of its request leads to a shutdown", async () => {
  const target = await respond(HELLO);
  let done: Promise<void> | undefined;
  const server = await startServer({
    http: true,
    onEvent({ type }) {
      if (type === "session-end") done = server.server.shutdown();
    },
  });
  const client = await server.client();
  await client.write(latin1(get(target.addr.port)));
  assertEquals(await readRest(client), `${KEPT_HELLO}|FIN`);
  await done;
  await server.close();
  await target.close();
});

test("serve() counts a kept connection as a session, but its user only while a request runs", async () => {
  const target = await respond(HELLO);
  const { port } = target.addr;
  const options = {
    auth: [userPass({ al: "pw" })],
    limits: { sessions: 2, sessionsPerUser: 1 },
  };
  await withServer(options, async (server, client) => {
    const other = await server.client();
    for (const conn of [client, other, client]) {
      await conn.write(latin1(get(port, basic("al:pw"))));
      assertEquals(await readTo(conn, "hello"), KEPT_HELLO);
      await server.ended();
    }
    const third = await server.client();
    assertEquals((await readRest(third)).length, 4);
    const rejected = server.events.find((it) => it.type === "session-rejected");
    assertEquals(rejected?.reason, "too many sessions");
  });
  await target.close();
});

test("serve() refuses a request of a user who has too many sessions", async () => {
  const silent = await startTarget();
  const options = {
    auth: [userPass({ al: "pw" })],
    limits: { sessionsPerUser: 1 },
  };
  await withServer(options, async (server, client) => {
    const request = latin1(get(silent.addr.port, basic("al:pw")));
    await client.write(request);
    await silent.accepted();
    const other = await server.client();
    await other.write(request);
    assertStringIncludes(await readRest(other), "403 Forbidden");
  });
  await silent.close();
});

test("serve() keeps no connection when HTTP is no longer served", async () => {
  const target = await respond(HELLO);
  const { port } = target.addr;
  await withServer({}, async (server, client) => {
    await client.write(latin1(get(port)));
    await readTo(client, "hello");
    await server.server.update({ http: undefined });
    await client.write(latin1(get(port)));
    assertStringIncludes(await readRest(client), "Connection: close");
  });
  await target.close();
});

test("serve() reads a response only as fast as the client does, and limits its rate", async () => {
  const size = 64 * 1024 * 1024;
  let sent = 0;
  const target = await startTarget(async (conn) => {
    await readTo(conn, "\r\n\r\n");
    await conn.write(
      latin1(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`),
    );
    const block = pattern(64 * 1024);
    try {
      for (; sent < size; sent += block.length) await conn.write(block);
    } catch {
      // The client has closed its connection.
    }
  });
  await withServer({}, async (server, client) => {
    await client.write(latin1(get(target.addr.port)));
    let before = -1;
    while (sent === 0 || sent !== before) {
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    assert(sent < size / 2, `${sent}`); // the rest waits for the kernel's buffers
    client.close();
    await server.ended();
  });
  await target.close();
});

test("serve() applies the rate limit of a user to forwarded requests", async () => {
  const content = "x".repeat(40_000);
  const target = await respond(
    `HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\n\r\n${content}`,
  );
  const limits = { bytesPerSecondPerUser: 40_000 };
  const auth = [userPass({ al: "pw" })];
  await withServer({ limits, auth }, async (server, client) => {
    const started = performance.now();
    for (let i = 0; i < 2; i++) {
      await client.write(latin1(get(target.addr.port, basic("al:pw"))));
      await readTo(client, content);
      assertEquals((await server.ended()).reason, "finished");
    }
    const seconds = (performance.now() - started) / 1_000;
    assert(seconds > 0.7, `${seconds}`); // 80,000 bytes, less the burst
  });
  await target.close();
});

/** A connection that passes on to this one, but for some members. */
function layer(conn: Conn, members: object): Conn {
  const { localAddr, remoteAddr } = conn;
  const passed: Conn = {
    localAddr,
    remoteAddr,
    read: () => conn.read(),
    unread: (chunk) => conn.unread(chunk),
    peek: () => conn.peek(),
    write: (chunk) => conn.write(chunk),
    closeWrite: () => conn.closeWrite(),
    close: () => conn.close(),
    reset: () => conn.reset(),
  };
  Object.defineProperties(passed, Object.getOwnPropertyDescriptors(members));
  return passed;
}

test("server.handle() closes special-purpose addresses to forwarded requests of exposed clients", async () => {
  const target = await startTarget();
  const server = await startServer({
    http: true,
    listen: false,
    auth: [userPass({ al: "pw" })],
  });
  const { near, far, close } = await connectedPair(await detectTransport());
  server.server.handle(far, { exposed: true });
  await near.write(latin1(get(target.addr.port, basic("al:pw"))));
  assertStringIncludes(await readRest(near), "HTTP/1.1 403 Forbidden\r\n");
  assertEquals(target.conns.length, 0);
  await close();
  await server.close();
  await target.close();
});

test("server.handle() does not take a client below a layer for idle while it takes a response", async () => {
  const target = await respond(HELLO);
  const clock = new FakeClock();
  const transport = { ...await detectTransport(), clock };
  const timeouts = { idle: 8_000, connect: 0, handshake: 0 };
  await withServer({ transport, timeouts }, async (server) => {
    const { near, far, close } = await connectedPair(transport);
    let unsent = 0;
    let take = () => {};
    const taken = new Promise<void>((resolve) => take = resolve);
    let begins = () => {};
    const begun = new Promise<void>((resolve) => begins = resolve);
    const inner = layer(far, {
      get unsent() {
        return unsent;
      },
      async write(chunk: Uint8Array) {
        unsent = 100;
        begins();
        await taken;
        await far.write(chunk);
      },
    });
    server.server.handle(layer(inner, { inner }));
    await near.write(latin1(get(target.addr.port)));
    await begun;
    await clock.run(24_000, 1_000, () => unsent--);
    take();
    assertEquals(await readTo(near, "hello"), HELLO);
    await close();
  });
  await target.close();
});

test("serve() responds with 502 to a request whose target refuses", async () => {
  await withServer({}, async (_, client) => {
    await client.write(latin1(get(await closedPort())));
    assertStringIncludes(await readRest(client), "502 Bad Gateway");
  });
});

test("Metrics counts forwarded requests, and each as a session", async () => {
  const metrics = new Metrics();
  const target = await respond(HELLO);
  await withServer({ onEvent: metrics.onEvent }, async (server, client) => {
    for (let i = 0; i < 2; i++) {
      await client.write(latin1(get(target.addr.port)));
      await readTo(client, "hello");
      await server.ended();
    }
    const values = metrics.read();
    assertEquals(
      [
        values['socks5_requests_total{version="http",command="forward"}'],
        values['socks5_replies_total{version="http",reply="200"}'],
        values["socks5_sessions_started_total"],
        values["socks5_handshake_duration_seconds_count"],
        values["socks5_reply_duration_seconds_count"],
        values['socks5_relayed_bytes_total{direction="received"}'],
      ],
      [2, 2, 2, 2, 0, 2 * KEPT_HELLO.length],
    );
  });
  await target.close();
});
