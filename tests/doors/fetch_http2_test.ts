/** HTTP/2 of `createFetch()` on Deno. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { once } from "node:events";
import * as http2 from "node:http2";
import type * as net from "node:net";
import { gzipSync } from "node:zlib";
import { createFetch, type ProxiedFetch } from "../../src/doors/fetch/mod.ts";
import { issue } from "../support/certificates.ts";
import { runtime, test } from "../support/harness.ts";
import { until } from "../transport/contract.ts";
import { opened, startProxy, urlOf } from "./web.ts";

const options = {
  skip: runtime === "deno" ? undefined : "left to the runtime",
};

const { cert, key } = issue({
  subject: "/CN=one",
  extensions: ["subjectAltName=DNS:one.test"],
});

interface World {
  readonly fetch: ProxiedFetch;
  readonly url: string;
  readonly sessions: http2.ServerHttp2Session[];
  opened(): number;
}

type OnStream = (
  stream: http2.ServerHttp2Stream,
  headers: http2.IncomingHttpHeaders,
) => void;

/** Runs `use` with a server that speaks HTTP/2 only. */
async function withServer(
  onStream: OnStream,
  use: (world: World) => Promise<void>,
): Promise<void> {
  const server = http2.createSecureServer({ cert, key });
  const sessions: http2.ServerHttp2Session[] = [];
  server.on("session", (session) => {
    sessions.push(session);
    session.on("error", () => {});
  });
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {});
    onStream(stream, headers);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as net.AddressInfo;
  const proxy = await startProxy();
  const fetch = createFetch(urlOf(proxy), { targetTls: { ca: cert } });
  const url = `https://one.test:${port}/`;
  try {
    await use({ fetch, url, sessions, opened: () => opened(proxy) });
  } finally {
    await fetch.close();
    for (const it of sessions) it.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
    await proxy.close();
  }
}

test(
  "createFetch() shows responses of HTTP/2",
  () =>
    withServer((stream, headers) => {
      switch (headers[":path"]) {
        case "/gzip":
          stream.respond({ "content-encoding": "gzip" });
          return stream.end(gzipSync("hello"));
        case "/204":
          return stream.respond({ ":status": 204 }, { endStream: true });
        case "/redirect":
          stream.respond({ ":status": 302, location: "/last" });
          return stream.end();
        case "/early":
          stream.additionalHeaders({ ":status": 103, link: "x" });
          break;
      }
      stream.respond({ ":status": 201, "set-cookie": ["a=1", "b=2"], x: "y" });
      stream.end(headers[":method"] === "HEAD" ? undefined : headers[":path"]);
    }, async ({ fetch, url, opened }) => {
      const response = await fetch(`${url}path?query#hash`);
      assertEquals([response.status, response.statusText], [201, "Created"]);
      assertEquals(response.url, `${url}path?query`);
      assertEquals(response.headers.getSetCookie(), ["a=1", "b=2"]);
      assertEquals(response.headers.get("x"), "y");
      assertEquals(await response.text(), "/path?query");
      assertEquals(await (await fetch(`${url}gzip`)).text(), "hello");
      assertEquals((await fetch(`${url}204`)).body, null);
      assertEquals(await (await fetch(`${url}early`)).text(), "/early");
      const head = await fetch(url, { method: "HEAD" });
      assertEquals([head.status, head.body], [201, null]);
      const last = await fetch(`${url}redirect`);
      assertEquals([last.url, last.redirected], [`${url}last`, true]);
      await last.text();
      assertEquals(opened(), 1);
    }),
  options,
);

test(
  "createFetch() sends requests by HTTP/2, many at a time",
  () =>
    withServer(async (stream, headers) => {
      let size = 0;
      for await (const chunk of stream) size += chunk.length;
      stream.respond({ ":status": 200 });
      stream.end(JSON.stringify({ size, headers }));
    }, async ({ fetch, url, opened }) => {
      const send = async (init?: RequestInit) =>
        await (await fetch(url, init)).json();
      const { headers } = await send({
        headers: {
          connection: "close",
          host: "two.test",
          te: "x",
          "x-own": "1",
        },
      });
      const { host } = new URL(url);
      assertEquals([headers[":authority"], headers["x-own"]], [host, "1"]);
      assertEquals([headers.connection, headers.te], [undefined, undefined]);
      assertEquals(headers["user-agent"], navigator.userAgent);
      const octets = new Uint8Array(1_000_000);
      const posted = await send({ method: "POST", body: octets });
      assertEquals(posted.size, octets.length);
      assertEquals(posted.headers["content-length"], "1000000");
      let left = 10;
      const body = new ReadableStream({
        async pull(controller) {
          await new Promise((resolve) => setTimeout(resolve, 1));
          if (left-- === 0) controller.close();
          else controller.enqueue(new Uint8Array(100_000));
        },
      });
      const streamed = await send(
        { method: "POST", body, duplex: "half" } as RequestInit,
      );
      assertEquals(streamed.size, 1_000_000);
      await Promise.all(Array.from({ length: 50 }, () => send()));
      assertEquals(opened(), 1);
    }),
  options,
);

test(
  "createFetch() stops reading by HTTP/2 when the program does, and can be aborted",
  () =>
    withServer((stream) => {
      stream.respond({ ":status": 200 });
      const chunk = new Uint8Array(65_536);
      const send = () => {
        while (sent < 200e6 && stream.write(chunk)) sent += chunk.length;
      };
      stream.on("drain", send);
      stream.on("close", () => closed++);
      send();
    }, async ({ fetch, url }) => {
      const controller = new AbortController();
      const { signal } = controller;
      const { body } = await fetch(url, { signal });
      const reader = body!.getReader();
      await reader.read();
      for (let before = -1; before !== sent;) {
        before = sent;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      assert(sent < 50e6, `${sent}`);
      controller.abort();
      await assertRejects(async () => {
        while (!(await reader.read()).done);
      }, Error);
      await until(() => closed === 1);
      // The connection remains.
      const other = await fetch(url);
      await other.body!.cancel();
      await until(() => closed === 2);
    }),
  options,
);
let sent = 0;
let closed = 0;

test(
  "createFetch() sends a request again if an HTTP/2 server has refused it",
  () => {
    let count = 0;
    return withServer((stream) => {
      const { NGHTTP2_REFUSED_STREAM } = http2.constants;
      if (++count === 2) return stream.close(NGHTTP2_REFUSED_STREAM);
      stream.respond({ ":status": 200 });
      stream.end("hello");
    }, async ({ fetch, url }) => {
      for (let i = 0; i < 2; i++) {
        const init = { method: "POST", body: "x" };
        assertEquals(await (await fetch(url, init)).text(), "hello");
      }
      assertEquals(count, 3);
    });
  },
  options,
);

test(
  "createFetch() opens another HTTP/2 connection when the server ends one",
  () =>
    withServer((stream) => {
      stream.respond({ ":status": 200 });
      stream.end("hello");
    }, async ({ fetch, url, sessions }) => {
      await (await fetch(url)).text();
      sessions[0].close();
      await once(sessions[0], "close");
      assertEquals(await (await fetch(url)).text(), "hello");
      sessions[1].goaway();
      await new Promise((resolve) => setTimeout(resolve, 50));
      assertEquals(await (await fetch(url)).text(), "hello");
      sessions[2].destroy();
      assertEquals(await (await fetch(url)).text(), "hello");
      assertEquals(sessions.length, 4);
    }),
  options,
);

test(
  "createFetch() rejects if an HTTP/2 connection ends before the response does",
  () =>
    withServer((stream, headers) => {
      if (headers[":path"] === "/none") return stream.session!.destroy();
      // Deno's server ends the streams of a session without an error.
      stream.respond({ ":status": 200, "content-length": 100 });
      stream.write("begin");
      if (headers[":path"] === "/reset") {
        stream.destroy(new Error("broken"));
      } else setTimeout(() => stream.session?.destroy(), 20);
    }, async ({ fetch, url }) => {
      const init = { method: "POST", body: "x" };
      await assertRejects(() => fetch(`${url}none`, init), TypeError);
      for (const path of ["reset", "destroy"]) {
        await assertRejects(
          async () => await (await fetch(url + path)).text(),
          TypeError,
        );
      }
    }),
  options,
);
