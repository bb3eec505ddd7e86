/**
 * The HTTP client of `createFetch()` on Deno against the runtime's own `fetch()`: both get the
 * same octets from a server, and must show the same.
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import * as net from "node:net";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { createFetch, type ProxiedFetch } from "../../src/doors/fetch/mod.ts";
import { runtime, test } from "../support/harness.ts";
import { until } from "../transport/contract.ts";
import { startProxy, urlOf } from "./web.ts";

const options = {
  skip: runtime === "deno" ? undefined : "left to the runtime",
};

/** A server that answers with octets of the test. */
interface RawServer {
  readonly url: string;
  /** What has arrived on each connection. */
  readonly received: string[];
  readonly sockets: net.Socket[];
  close(): Promise<void>;
}

/** What a server does with a request that has arrived completely. */
type OnRequest = (socket: net.Socket, request: string) => void;

async function startRaw(onRequest: OnRequest): Promise<RawServer> {
  const received: string[] = [];
  const sockets: net.Socket[] = [];
  const server = net.createServer((socket) => {
    const index = sockets.push(socket) - 1;
    received.push("");
    let got = "";
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      received[index] += chunk.toString("latin1");
      got += chunk.toString("latin1");
      const end = got.indexOf("\r\n\r\n") + 4;
      const length = Number(/content-length: (\d+)/i.exec(got)?.[1] ?? 0);
      const isChunked = /transfer-encoding: chunked/i.test(got);
      const isWhole = isChunked
        ? got.endsWith("0\r\n\r\n")
        : got.length >= end + length;
      if (end < 4 || !isWhole) return;
      const request = got;
      got = "";
      onRequest(socket, request);
    });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as net.AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    received,
    sockets,
    async close() {
      for (const it of sockets) it.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

type Fetch = (input: string, init?: RequestInit) => Promise<Response>;

/** Runs `use` with the runtime's own function and that through a proxy. */
async function withBoth(
  use: (own: Fetch, proxied: ProxiedFetch) => Promise<void>,
): Promise<void> {
  const proxy = await startProxy();
  const fetch = createFetch(urlOf(proxy));
  const { Deno: deno } = globalThis as unknown as {
    Deno: { createHttpClient(options: object): { close(): void } };
  };
  const client = deno.createHttpClient({});
  try {
    const own: Fetch = (input, init) =>
      globalThis.fetch(input, { ...init, client } as RequestInit);
    await use(own, fetch);
  } finally {
    client.close();
    await fetch.close();
    await proxy.close();
  }
}

/** What a program sees of a response. */
async function seen(call: Promise<Response>): Promise<unknown> {
  try {
    const response = await call;
    const { status, ok, statusText, type, url, redirected, headers } = response;
    const copy = response.clone();
    assertEquals([copy.url, copy.status], [url, status]);
    const head = { status, ok, statusText, type, url, redirected };
    const isNull = response.body === null;
    const [text] = await Promise.all([response.text(), copy.text()]);
    return { ...head, isNull, text, fields: [...headers] };
  } catch (error) {
    return (error as Error).name;
  }
}

const gzip = gzipSync("hello, hello");
const large = gzipSync(Buffer.alloc(3_000_000, "x"));

/** A message of lines, and content. */
const message = (head: string, content: string | Uint8Array = "") =>
  Buffer.concat([
    Buffer.from(`${head.replaceAll("|", "\r\n")}\r\n\r\n`, "latin1"),
    Buffer.from(content as string),
  ]);

const coded = (coding: string, content: Uint8Array) =>
  message(
    `HTTP/1.1 200 OK|Content-Encoding: ${coding}|Content-Length: ${content.length}`,
    content,
  );

/** A row: the name, the octets, and the method of the request. */
const RESPONSES: readonly [name: string, octets: Buffer, method?: string][] = [
  ["a length", message("HTTP/1.1 200 OK|Content-Length: 2", "hi")],
  ["no content", message("HTTP/1.1 200 OK|Content-Length: 0")],
  ["another reason", message("HTTP/1.1 404 Nope|Content-Length: 0")],
  ["no reason", message("HTTP/1.1 200|Content-Length: 0")],
  ["a high status", message("HTTP/1.1 999 No|Content-Length: 2", "hi")],
  ["the end of the connection", message("HTTP/1.1 200 OK", "until the end")],
  ["HTTP/1.0", message("HTTP/1.0 200 OK", "until the end")],
  [
    "chunks",
    message(
      "HTTP/1.1 200 OK|Transfer-Encoding: chunked",
      "3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n",
    ),
  ],
  [
    "chunks and a length",
    message(
      "HTTP/1.1 200 OK|Transfer-Encoding: chunked|Content-Length: 4",
      "2\r\nde\r\n0\r\n\r\n",
    ),
  ],
  [
    "a broken chunk",
    message("HTTP/1.1 200 OK|Transfer-Encoding: chunked", "z\r\n"),
  ],
  [
    "a chunk cut off",
    message("HTTP/1.1 200 OK|Transfer-Encoding: chunked", "5\r\nab"),
  ],
  ["a length cut off", message("HTTP/1.1 200 OK|Content-Length: 5", "ab")],
  [
    "the same length twice",
    message("HTTP/1.1 200 OK|Content-Length: 2|Content-Length: 2", "hi"),
  ],
  [
    "two lengths",
    message("HTTP/1.1 200 OK|Content-Length: 2|Content-Length: 3", "hi"),
  ],
  ["a negative length", message("HTTP/1.1 200 OK|Content-Length: -2", "hi")],
  [
    "interim responses",
    message(
      "HTTP/1.1 103 Early Hints|Link: x||HTTP/1.1 100 Continue||HTTP/1.1 200 OK|Content-Length: 2",
      "hi",
    ),
  ],
  ["status 204", message("HTTP/1.1 204 No Content")],
  ["status 205", message("HTTP/1.1 205 Reset Content|Content-Length: 0")],
  [
    "status 304",
    message("HTTP/1.1 304 Not Modified|Content-Length: 5|ETag: x"),
  ],
  ["HEAD", message("HTTP/1.1 200 OK|Content-Length: 5"), "HEAD"],
  [
    "fields",
    message(
      "HTTP/1.1 200 OK|Set-Cookie: a=1|Set-Cookie: b=2|X: \xe4 \xfc |X: y|Empty:|Content-Length: 0",
    ),
  ],
  [
    "lines that end in LF",
    Buffer.from("HTTP/1.1 200 OK\nContent-Length: 2\n\nhi"),
  ],
  ["a folded line", message("HTTP/1.1 200 OK|X: a| b|Content-Length: 0")],
  [
    "a blank before a colon",
    message("HTTP/1.1 200 OK|X : a|Content-Length: 0"),
  ],
  ["a zero octet", message("HTTP/1.1 200 OK|X: a\0b|Content-Length: 0")],
  ["no HTTP", Buffer.from("SSH-2.0-x\r\n\r\n")],
  ["nothing", Buffer.alloc(0)],
  ["gzip", coded("gzip", gzip)],
  ["GZIP", coded("GZIP", gzip)],
  ["br", coded("br", brotliCompressSync("hello"))],
  ["another coding", coded("x-own", gzip)],
  ["two codings", coded("gzip, gzip", gzip)],
  ["a member of objects", coded("constructor", gzip)],
  ["gzip of nothing", coded("gzip", Buffer.alloc(0))],
  ["gzip of much", coded("gzip", large)],
  ["gzip that is none", coded("gzip", Buffer.from("hello"))],
  ["gzip cut off", coded("gzip", gzip.subarray(0, 20))],
];

for (const [name, octets, method] of RESPONSES) {
  test(
    `createFetch() shows a response with ${name} as the runtime does`,
    () =>
      withBoth(async (own, proxied) => {
        const server = await startRaw((socket) => socket.end(octets));
        const expected = await seen(own(server.url, { method }));
        assertEquals(await seen(proxied(server.url, { method })), expected);
        await server.close();
      }),
    options,
  );

  test(
    `createFetch() shows a response with ${name} as the runtime does, octet by octet`,
    () =>
      withBoth(async (own, proxied) => {
        const server = await startRaw(async (socket) => {
          socket.setNoDelay(true);
          for (const octet of octets.subarray(0, 200)) {
            socket.write(Uint8Array.of(octet));
            await new Promise((resolve) => setImmediate(resolve));
          }
          socket.end(octets.subarray(200));
        });
        const expected = await seen(own(server.url, { method }));
        assertEquals(await seen(proxied(server.url, { method })), expected);
        await server.close();
      }),
    options,
  );
}

/** A stream that takes its time: a short one may be sent with its length. */
const stream = () => {
  const parts = ["one ", "two"];
  return new ReadableStream({
    async pull(controller) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      const part = parts.shift();
      if (part === undefined) return controller.close();
      controller.enqueue(new TextEncoder().encode(part));
    },
  });
};

/** A row: the name, and the options of a call. */
const REQUESTS: readonly [name: string, init: () => RequestInit][] = [
  ["no options", () => ({})],
  ["a text", () => ({ method: "POST", body: "t\xe4xt" })],
  ["an empty text", () => ({ method: "POST", body: "" })],
  ["octets", () => ({ method: "PUT", body: Uint8Array.of(1, 2, 3) })],
  ["many octets", () => ({ method: "PUT", body: new Uint8Array(100_000) })],
  ["no body of POST", () => ({ method: "POST" })],
  ["no body of PATCH", () => ({ method: "PATCH" })],
  ["no body of DELETE", () => ({ method: "DELETE" })],
  ["a method in small letters", () => ({ method: "patch", body: "x" })],
  ["HEAD", () => ({ method: "HEAD" })],
  ["OPTIONS", () => ({ method: "OPTIONS" })],
  [
    "URLSearchParams",
    () => ({ method: "POST", body: new URLSearchParams({ a: "1" }) }),
  ],
  [
    "a Blob",
    () => ({ method: "POST", body: new Blob(["blob"], { type: "text/own" }) }),
  ],
  [
    "a stream",
    () => ({ method: "POST", body: stream(), duplex: "half" }) as RequestInit,
  ],
  ["a part", () => ({ headers: { range: "bytes=0-1" } })],
  ["own fields", () => ({
    headers: [
      ["accept", "a/b"],
      ["accept-language", "de"],
      ["accept-encoding", "identity"],
      ["user-agent", "own"],
      ["connection", "close"],
      ["x-own", "\xe4"],
      ["x-own", "2"],
      ["cookie", "a=1"],
    ],
  })],
  ["fields of the framing", () => ({
    method: "POST",
    body: "text",
    headers: {
      host: "other.test",
      "content-length": "1",
    },
  })],
];

/** The request with its fields in order, and those of the same name as one. */
function sorted(request: string): unknown {
  const [head, ...content] = request.split("\r\n\r\n");
  const [line, ...lines] = head.split("\r\n");
  const fields = new Headers(lines.map((it): [string, string] => {
    const colon = it.indexOf(":");
    return [it.slice(0, colon), it.slice(colon + 1)];
  }));
  const rest = content.join("\r\n\r\n");
  const text = fields.has("transfer-encoding")
    ? rest.replace(/^[\da-f]+\r\n/gm, "").replaceAll("\r\n", "")
    : rest;
  return [line, [...fields], text];
}

for (const [name, init] of REQUESTS) {
  test(
    `createFetch() sends a request with ${name} as the runtime does`,
    () =>
      withBoth(async (own, proxied) => {
        const requests: unknown[] = [];
        const server = await startRaw((socket, request) => {
          requests.push(sorted(request));
          socket.end("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        });
        const url = `${server.url}p%20ath/%C3%A4?q=%22#hash`.replace(
          "//",
          "//al:p%40@",
        );
        for (const fetch of [own, proxied]) {
          await (await fetch(url, init())).text();
          await (await fetch(server.url, init())).text();
        }
        const [first, second, ...others] = requests;
        assertEquals(others, [first, second]);
        await server.close();
      }),
    options,
  );
}

test(
  "createFetch() sends a form, and the body of a Request with its length",
  () =>
    withBoth(async (_, fetch) => {
      const server = await startRaw((socket) =>
        socket.end("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
      );
      const body = new FormData();
      body.set("field", "value");
      body.set("file", new Blob(["content"]), "name.txt");
      await fetch(server.url, { method: "POST", body });
      const [request] = server.received;
      const [, boundary] = /multipart\/form-data; ?boundary=(\S+)/i.exec(
        request,
      )!;
      assert(request.includes(`${boundary}--`) && request.includes("content"));
      assert(/content-length: [1-9]/.test(request));
      await fetch(new Request(server.url, { method: "POST", body: "text" }));
      assert(server.received[1].includes("content-length: 4\r\n"));
      await server.close();
    }),
  options,
);

const EMPTY = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

test(
  "createFetch() sends a request again if a kept connection is closed before the response",
  () =>
    withBoth(async (_, fetch) => {
      let count = 0;
      const server = await startRaw((socket) => {
        if (++count === 2) socket.destroy();
        else socket.write(EMPTY);
      });
      await fetch(server.url);
      assertEquals((await fetch(server.url)).status, 200);
      assertEquals([count, server.sockets.length], [3, 2]);
      // A POST may have been processed.
      count = 1;
      await assertRejects(
        () => fetch(server.url, { method: "POST", body: "x" }),
        TypeError,
      );
      assertEquals(count, 2);
      await server.close();
    }),
  options,
);

test(
  "createFetch() does not send a request again on a new connection",
  () =>
    withBoth(async (_, fetch) => {
      const server = await startRaw((socket) => socket.destroy());
      await assertRejects(() => fetch(server.url), TypeError);
      assertEquals(server.sockets.length, 1);
      await server.close();
    }),
  options,
);

test(
  "createFetch() closes connections that it cannot use again",
  () =>
    withBoth(async (_, fetch) => {
      const closing = [
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        `${EMPTY}HTTP/1.1 200 OK\r\n`,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: timeout=1\r\n\r\n",
      ];
      for (const octets of closing) {
        const server = await startRaw((socket) => socket.write(octets));
        await fetch(server.url);
        await once(server.sockets[0], "close");
        await fetch(server.url);
        assertEquals(server.sockets.length, 2);
        await server.close();
      }
      // Octets that nobody has asked for
      const server = await startRaw((socket) => socket.write(EMPTY));
      await fetch(server.url);
      server.sockets[0].write("HTTP/1.1 200 OK\r\n");
      await once(server.sockets[0], "close");
      assertEquals((await fetch(server.url)).status, 200);
      await server.close();
    }),
  options,
);

test(
  "createFetch() drops a connection whose response the program does not read",
  () =>
    withBoth(async (_, fetch) => {
      const head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
      const server = await startRaw((socket) => socket.write(`${head}begin`));
      const response = await fetch(server.url);
      await response.body!.cancel();
      await once(server.sockets[0], "close");
      await server.close();
    }),
  options,
);

test(
  "createFetch() stops reading when the program does",
  () =>
    withBoth(async (_, fetch) => {
      let sent = 0;
      const chunk = Buffer.alloc(65_536);
      const server = await startRaw((socket) => {
        socket.write("HTTP/1.1 200 OK\r\n\r\n");
        const send = () => {
          while (sent < 100e6 && socket.write(chunk)) sent += chunk.length;
        };
        socket.on("drain", send);
        send();
      });
      const { body } = await fetch(server.url);
      const reader = body!.getReader();
      await reader.read();
      // It goes on until the buffers of both systems are full.
      for (let before = -1; before !== sent;) {
        before = sent;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      assert(sent < 50e6, `${sent}`);
      await reader.cancel();
      await server.close();
    }),
  options,
);

test(
  "createFetch() resolves before the end of an upload, and stops it with the response",
  () =>
    withBoth(async (_, fetch) => {
      let isCancelled = false;
      const body = new ReadableStream({
        start: (it) => it.enqueue(new TextEncoder().encode("first")),
        cancel: () => void (isCancelled = true),
      });
      const server = net.createServer((socket) => {
        socket.on("error", () => {});
        socket.once("data", () => socket.write(EMPTY));
      });
      await once(server.listen(0, "127.0.0.1"), "listening");
      const { port } = server.address() as net.AddressInfo;
      const init = { method: "POST", body, duplex: "half" } as RequestInit;
      const response = await fetch(`http://127.0.0.1:${port}/`, init);
      assertEquals(response.status, 200);
      await until(() => isCancelled);
      await new Promise((resolve) => server.close(resolve));
    }),
  options,
);

test(
  "createFetch() rejects if the stream of a body fails, and closes the connection",
  () =>
    withBoth(async (_, fetch) => {
      const server = await startRaw(() => {});
      const reason = new Error("broken");
      const body = new ReadableStream({
        start: (it) => it.enqueue(new TextEncoder().encode("first")),
        pull: () => Promise.reject(reason),
      });
      const init = { method: "POST", body, duplex: "half" } as RequestInit;
      const error = await assertRejects(
        () => fetch(server.url, init),
        TypeError,
      );
      assertEquals(error.cause, reason);
      await server.close();
    }),
  options,
);

test(
  "createFetch() rejects without end: interim responses, and header sections",
  () =>
    withBoth(async (_, fetch) => {
      const endless = ["HTTP/1.1 100 Continue\r\n\r\n", "X: 1\r\n"];
      for (const part of endless) {
        const server = await startRaw((socket) => {
          if (part.startsWith("X")) socket.write("HTTP/1.1 200 OK\r\n");
          socket.write(part.repeat(5_000));
        });
        await assertRejects(() => fetch(server.url), TypeError);
        await once(server.sockets[0], "close");
        await server.close();
      }
    }),
  options,
);

test(
  "createFetch() does not call ports that no fetch() calls",
  () =>
    withBoth(async (own, fetch) => {
      for (const port of [1, 22, 6667]) {
        const url = `http://127.0.0.1:${port}/`;
        await assertRejects(() => own(url), TypeError, "blocked");
        await assertRejects(() => fetch(url), TypeError, "blocked");
      }
    }),
  options,
);

test("createFetch() does not need the runtime's own fetch()", async () => {
  const server = await startRaw((socket) => socket.write(EMPTY));
  const proxy = await startProxy();
  const own = globalThis.fetch;
  globalThis.fetch = () => Promise.reject(new Error("replaced"));
  try {
    const fetch = createFetch(urlOf(proxy));
    assertEquals((await fetch(server.url)).status, 200);
    await fetch.close();
  } finally {
    globalThis.fetch = own;
  }
  await proxy.close();
  await server.close();
}, options);
