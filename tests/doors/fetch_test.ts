/** The runtimes' own `fetch()` through proxies. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { once } from "node:events";
import { mkdtemp, readdir, rm, rmdir, stat } from "node:fs/promises";
import * as http2 from "node:http2";
import type * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { inspect } from "node:util";
import { SocksError, type SocksErrorCode } from "../../src/client/mod.ts";
import {
  createFetch,
  type FetchOptions,
  type ProxiedFetch,
} from "../../src/doors/fetch/mod.ts";
import { Origins } from "../../src/doors/fetch/origins.ts";
import { followRedirects } from "../../src/doors/fetch/redirects.ts";
import { Tunnels } from "../../src/doors/fetch/tunnels.ts";
import { issue } from "../support/certificates.ts";
import { runtime, test } from "../support/harness.ts";
import {
  closedPort,
  startServer,
  startTarget,
  type TestServer,
} from "../support/server.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { connect } from "../support/raw.ts";
import { until } from "../transport/contract.ts";
import { startLateTarget } from "./late_target.ts";
import {
  assertNoBypassOf,
  opened,
  requests,
  startProxy,
  startWeb,
  urlOf,
  type Web,
} from "./web.ts";

interface World {
  readonly fetch: ProxiedFetch;
  readonly web: Web;
  readonly proxy: TestServer;
  /** The URL of a path of the web server, with a name that only the proxy knows. */
  url(path: string, hostname?: string): string;
}

/** Runs `use` with a web server and a `fetch()` through a proxy with a login. */
async function withFetch(
  use: (world: World) => Promise<void>,
  options: FetchOptions = {},
): Promise<void> {
  const web = await startWeb();
  const proxy = await startProxy();
  const fetch = createFetch(urlOf(proxy), options);
  try {
    await use({
      fetch,
      web,
      proxy,
      url: (path, hostname = "one.test") =>
        `http://${hostname}:${web.port}${path}`,
    });
  } finally {
    await fetch.close();
    await web.close();
    await proxy.close();
  }
}

// Ways

test("createFetch() goes through the proxy, which resolves the name", () =>
  withFetch(async ({ fetch, web, proxy, url }) => {
    const response = await fetch(url("/hello"));
    assertEquals([response.status, response.ok], [200, true]);
    assertEquals(response.url, url("/hello"));
    assertEquals(await response.text(), "/hello");
    assertEquals(web.connections, 1);
    const [session] = requests(proxy);
    assertEquals(session.user, "al");
    assertEquals(session.target, { hostname: "one.test", port: web.port });
  }));

const SCHEMES = ["socks5h", "socks5", "socks4", "socks4a", "http"];

for (const scheme of SCHEMES) {
  test(`createFetch() goes through a ${scheme}: proxy`, async () => {
    const web = await startWeb();
    const proxy = await startServer({ http: true });
    const fetch = createFetch(
      `${scheme}://127.0.0.1:${proxy.server.addr.port}`,
    );
    const url = `http://127.0.0.1:${web.port}/path?query`;
    assertEquals(await (await fetch(url)).text(), "/path?query");
    assertEquals([web.connections, opened(proxy)], [1, 1]);
    await fetch.close();
    await web.close();
    await proxy.close();
  });
}

test("createFetch() goes through a proxy on ::1", async () => {
  const web = await startWeb();
  const proxy = await startServer({ hostname: "::1" });
  const fetch = createFetch(`socks5h://[::1]:${proxy.server.addr.port}`);
  const url = `http://127.0.0.1:${web.port}/`;
  assertEquals(await (await fetch(url)).text(), "/");
  assertEquals([web.connections, opened(proxy)], [1, 1]);
  await fetch.close();
  await web.close();
  await proxy.close();
});

test("createFetch() goes through a chain with TLS", async () => {
  const { cert, key } = issue({
    subject: "/CN=proxy",
    extensions: ["subjectAltName=DNS:localhost"],
  });
  const web = await startWeb();
  const first = await startProxy({ tls: { cert, key } });
  const second = await startProxy();
  const { port } = first.server.addr;
  const fetch = createFetch(
    [`socks5h+tls://al:p%40ss@localhost:${port}`, urlOf(second, "http")],
    { tls: { ca: cert } },
  );
  const url = `http://two.test:${web.port}/`;
  assertEquals(await (await fetch(url)).text(), "/");
  assertEquals([web.connections, opened(first), opened(second)], [1, 1, 1]);
  assertEquals(requests(second)[0].target?.hostname, "two.test");
  await fetch.close();
  await web.close();
  await first.close();
  await second.close();
});

test("createFetch() runs many calls at the same time, the first ones included", () =>
  withFetch(async ({ fetch, web, proxy, url }) => {
    const calls = Array.from({ length: 20 }, async (_, i) => {
      return await (await fetch(url(`/${i}`))).text();
    });
    const paths = Array.from({ length: 20 }, (_, i) => `/${i}`);
    assertEquals(await Promise.all(calls), paths);
    assertNoBypassOf(proxy, web);
  }));

// HTTPS

test("createFetch() speaks TLS to the target with the authority of targetTls", async () => {
  const certificate = issue({
    subject: "/CN=one",
    extensions: ["subjectAltName=DNS:one.test"],
  });
  const web = await startWeb(certificate);
  const proxy = await startProxy();
  const targetTls = { ca: certificate.cert };
  const fetch = createFetch(urlOf(proxy), { targetTls });
  const url = (name: string) => `https://${name}:${web.port}/secure`;
  assertEquals(await (await fetch(url("one.test"))).text(), "/secure");
  await assertNotOfProxy(fetch(url("two.test")));
  const strict = createFetch(urlOf(proxy));
  await assertNotOfProxy(strict(url("one.test")));
  assertNoBypassOf(proxy, web);
  assertEquals(web.requests.length, 1);
  await strict.close();
  await fetch.close();
  await web.close();
  await proxy.close();
});

test("createFetch() speaks HTTP/2 where the runtime does", async () => {
  const { cert, key } = issue({
    subject: "/CN=one",
    extensions: ["subjectAltName=DNS:one.test"],
  });
  const server = http2.createSecureServer({ cert, key });
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on("session", (session) => sessions.add(session));
  server.on("stream", (stream) => {
    stream.respond({ ":status": 200 });
    stream.end("over HTTP/2");
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as net.AddressInfo;
  const proxy = await startProxy();
  const fetch = createFetch(urlOf(proxy), { targetTls: { ca: cert } });
  const response = await fetch(`https://one.test:${port}/`);
  assertEquals(await response.text(), "over HTTP/2");
  assertEquals(opened(proxy), 1);
  await fetch.close();
  for (const session of sessions) session.destroy();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  await proxy.close();
}, { skip: runtime === "deno" ? undefined : "fetch() has no HTTP/2 here" });

test("createFetch() uses a connection again", async () => {
  const certificate = issue({
    subject: "/CN=one",
    extensions: ["subjectAltName=DNS:one.test"],
  });
  const web = await startWeb(certificate);
  const proxy = await startProxy();
  const targetTls = { ca: certificate.cert };
  const fetch = createFetch(urlOf(proxy), { targetTls });
  for (let i = 0; i < 5; i++) {
    const response = await fetch(`https://one.test:${web.port}/${i}`);
    assertEquals(await response.text(), `/${i}`);
  }
  assert(web.connections < 5, `${web.connections}`);
  assertNoBypassOf(proxy, web);
  await fetch.close();
  await web.close();
  await proxy.close();
});

test("createFetch() uses a connection of an http: URL again", () =>
  withFetch(async ({ fetch, web, proxy, url }) => {
    for (let i = 0; i < 5; i++) {
      assertEquals(await (await fetch(url(`/${i}`))).text(), `/${i}`);
    }
    const init = { method: "POST", body: "text" };
    assertEquals((await (await fetch(url("/echo"), init)).json()).body, "text");
    assert(web.connections < 3, `${web.connections}`);
    assertNoBypassOf(proxy, web);
  }));

test("createFetch() reaches many origins, each by its own connection", async () => {
  const web = await startWeb();
  const transport = await detectTransport();
  const ports: number[] = [];
  const proxy = await startProxy({
    dial({ port }) {
      ports.push(port);
      return transport.connect({ hostname: "127.0.0.1", port: web.port });
    },
  });
  const fetch = createFetch(urlOf(proxy));
  const expected = Array.from({ length: 80 }, (_, i) => 1_000 + i);
  for (let round = 0; round < 2; round++) {
    await Promise.all(expected.map(async (port) => {
      const response = await fetch(`http://127.0.0.1:${port}/${port}`);
      assertEquals(await response.text(), `/${port}`);
    }));
  }
  for (const { headers, url } of web.requests) {
    assertEquals(headers.host, `127.0.0.1:${url!.slice(1)}`);
  }
  assertEquals([...new Set(ports)].sort(), expected);
  assertNoBypassOf(proxy, web);
  await fetch.close();
  await web.close();
  await proxy.close();
});

/** Runs `use` with this folder for temporary files. */
async function withTemporaryFolder(
  folder: string,
  use: () => Promise<void>,
): Promise<void> {
  await withEnvironment({ TMPDIR: folder }, use);
}

test(
  "createFetch() puts its sockets into a folder of this user alone, and removes it",
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "fetch-test-"));
    await withTemporaryFolder(
      folder,
      () =>
        withFetch(async ({ fetch, url }) => {
          assertEquals(await (await fetch(url("/"))).text(), "/");
          const [own, ...others] = await readdir(folder);
          assertEquals(others, []);
          assertEquals((await stat(join(folder, own))).mode & 0o777, 0o700);
        }),
    );
    await rmdir(folder); // fails unless it is empty
  },
  { skip: runtime === "bun" ? undefined : "only Bun needs sockets" },
);

test("Origins opens no socket after close(), for a redirect that comes late", async () => {
  const transport = await detectTransport();
  const connect = () => Promise.reject(new Error("no target"));
  const tunnels = new Tunnels(transport, connect, () => {});
  const origins = await Origins.open(transport, tunnels);
  const target = { hostname: "one.test", port: 80 };
  const path = await origins.use(target, (it) => Promise.resolve(it));
  const closing = origins.close();
  const late = origins.use({ ...target, port: 81 }, () => Promise.resolve());
  const { message } = await assertRejects(() => late, TypeError);
  assertEquals(message, "the way through the proxies is closed");
  await closing;
  await assertRejects(() => stat(path), Error);
});

test("Tunnels closes a connection that is made at the same moment", async () => {
  const transport = await detectTransport();
  for (let turns = 0; turns < 6; turns++) {
    const late = await startLateTarget();
    const tunnels = new Tunnels(transport, late.dialer.connect, () => {});
    const front = await startTarget((conn) =>
      tunnels.serve(conn, { hostname: "one.test", port: 80 })
    );
    const client = await connect(front.addr);
    await client.write(Uint8Array.of(0));
    await late.connected;
    late.resolve();
    for (let i = 0; i < turns; i++) await undefined;
    tunnels.close();
    await late.assertClosed();
    client.close();
    await front.close();
  }
});

test("createFetch() goes through the proxy when its sockets have been removed", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fetch-test-"));
  await withTemporaryFolder(
    folder,
    () =>
      withFetch(async ({ fetch, web, proxy, url }) => {
        const headers = { connection: "close" };
        await (await fetch(url("/"), { headers })).text();
        for (const it of await readdir(folder)) {
          await rm(join(folder, it), { recursive: true });
        }
        for (const name of ["one.test", "two.test"]) {
          assertEquals(await (await fetch(url("/a", name))).text(), "/a");
        }
        assertNoBypassOf(proxy, web);
      }),
  );
  await rmdir(folder);
});

test("createFetch() goes through the proxy without a folder for sockets", () =>
  withTemporaryFolder(
    "/nonexistent",
    () =>
      withFetch(async ({ fetch, web, proxy, url }) => {
        for (let i = 0; i < 2; i++) {
          assertEquals(await (await fetch(url("/"))).text(), "/");
        }
        assertNoBypassOf(proxy, web);
      }),
  ));

/** Passes if the call rejects for a reason other than the proxies. */
async function assertNotOfProxy(call: Promise<Response>): Promise<void> {
  const error = await assertRejects(() => call, Error);
  assert(!(error.cause instanceof SocksError), String(error));
}

// Requests

test("createFetch() sends what a call and a Request contain", () =>
  withFetch(async ({ fetch, web, proxy, url }) => {
    const echoed = async (...args: Parameters<typeof fetch>) => {
      const { method, headers, body } = await (await fetch(...args)).json();
      return [method, headers["x-own"], body];
    };
    const headers = { "x-own": "1" };
    const init = { method: "PUT", headers, body: "text" };
    const expected = ["PUT", "1", "text"];
    for (let i = 0; i < 2; i++) { // before and after the way is open
      assertEquals(await echoed(url("/echo"), init), expected);
      assertEquals(await echoed(new URL(url("/echo")), init), expected);
      const request = new Request(url("/echo"), init);
      assertEquals(await echoed(request), expected);
      assertEquals(request.bodyUsed, true);
      const other = new Request(url("/echo"), { method: "PUT", body: "other" });
      assertEquals(await echoed(other, init), expected);
    }
    // A Request has no members of its own.
    const options = new Request(url("/"), init) as RequestInit;
    const streamed = new Proxy(options, {
      get: (it, key) => key === "duplex" ? "half" : Reflect.get(it, key, it),
    });
    assertEquals(await echoed(url("/echo"), streamed), expected);
    const bytes = new TextEncoder().encode("bytes");
    const post = { method: "POST", body: bytes };
    assertEquals(await echoed(url("/echo"), post), [
      "POST",
      undefined,
      "bytes",
    ]);
    assertNoBypassOf(proxy, web);
  }));

test("createFetch() sends a stream", () =>
  withFetch(async ({ fetch, url }) => {
    for (let i = 0; i < 2; i++) {
      const parts = ["one ", "two ", "three"];
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          const part = parts.shift();
          if (part === undefined) return controller.close();
          controller.enqueue(new TextEncoder().encode(part));
        },
      });
      const init = { method: "POST", body, duplex: "half" } as RequestInit;
      const response = await fetch(url("/echo"), init);
      assertEquals((await response.json()).body, "one two three");
    }
  }));

test("createFetch() does not see later changes of the arguments", () =>
  withFetch(async ({ fetch, url }) => {
    const headers = new Headers({ "x-own": "1" });
    const init = { method: "POST", headers, body: "a" };
    const call = fetch(url("/echo"), init);
    headers.set("x-own", "2");
    Object.assign(init, { method: "PUT", body: "b" });
    const { method, body, ...echo } = await (await call).json();
    assertEquals([method, body, echo.headers["x-own"]], ["POST", "a", "1"]);
  }));

test("createFetch() returns a large body", () =>
  withFetch(async ({ fetch, url }) => {
    const response = await fetch(url("/big"));
    assertEquals((await response.arrayBuffer()).byteLength, 3_000_000);
  }));

test("createFetch() returns data: and blob: URLs", () =>
  withFetch(async ({ fetch, web }) => {
    assertEquals(await (await fetch("data:,hello")).text(), "hello");
    const url = URL.createObjectURL(new Blob(["hello"]));
    assertEquals(await (await fetch(url)).text(), "hello");
    URL.revokeObjectURL(url);
    assertEquals(web.connections, 0);
  }));

// Redirects

const STATUSES = [301, 302, 303, 307, 308];

for (const status of STATUSES) {
  test(`createFetch() follows a redirect ${status} to another origin through the proxy`, () =>
    withFetch(async ({ fetch, web, proxy, url }) => {
      const other = await startWeb();
      const location = `http://two.test:${other.port}/echo`;
      const response = await fetch(
        url(`/redirect?${status},${encodeURIComponent(location)}`),
        { method: "POST", body: "text" },
      );
      assertEquals([response.redirected, response.url], [true, location]);
      const { method, body } = await response.json();
      const isKept = status > 303;
      assertEquals([method, body], isKept ? ["POST", "text"] : ["GET", ""]);
      assertEquals([web.connections, other.connections], [1, 1]);
      assertEquals(opened(proxy), 2);
      await other.close();
    }));
}

test("createFetch() follows redirects with the fields that the next origin may see", () =>
  withFetch(async ({ fetch, web, url }) => {
    const headers = {
      authorization: "Basic eDp5",
      "content-type": "text/own",
      "x-own": "1",
    };
    const init = { method: "POST", body: "text", headers };
    const seenAt = async (to: string, status: number) => {
      const path = `/redirect?${status},${encodeURIComponent(to)}`;
      const { headers } = await (await fetch(url(path), init)).json();
      return [
        headers.authorization,
        headers["content-type"],
        headers["content-length"] ?? "0",
        headers["x-own"],
        headers.host,
      ];
    };
    const [one, two] = ["one.test", "two.test"].map((it) =>
      `${it}:${web.port}`
    );
    const { authorization } = headers;
    const seen = [authorization, "text/own", "4", "1", one];
    assertEquals(await seenAt("/echo", 307), seen);
    assertEquals(
      await seenAt("/echo", 302),
      [authorization, undefined, "0", "1", one],
    );
    const other = url("/echo", "two.test");
    assertEquals(
      await seenAt(other, 308),
      [undefined, "text/own", "4", "1", two],
    );
    assertEquals(await seenAt(other, 303), [
      undefined,
      undefined,
      "0",
      "1",
      two,
    ]);
  }));

test(
  "createFetch() sends the login of its URL to the first origin only, and none of a redirect",
  () =>
    withFetch(async ({ fetch, url }) => {
      const login = (of: string) => url(of).replace("//", "//u%C3%BC:p@");
      const to = (location: string) =>
        `/redirect?302,${encodeURIComponent(location)}`;
      const own = `Basic ${btoa("u\xc3\xbc:p")}`;
      const rows: [string, string | undefined][] = [
        [login("/echo"), own],
        [login(to("/echo")), own],
        [login(to(url("/echo"))), own],
        [login(to(url("/echo", "two.test"))), undefined],
        [url(to(login("/echo").replace("one", "two"))), undefined],
      ];
      for (const [from, expected] of rows) {
        const { headers } = await (await fetch(from)).json();
        assertEquals(headers.authorization, expected, from);
      }
    }),
  { skip: runtime === "node" ? "left to the runtime" : undefined },
);

test("createFetch() follows redirects of other methods, and says so", () =>
  withFetch(async ({ fetch, url }) => {
    const path = (status: number) => url(`/redirect?${status},/echo`);
    for (const status of [301, 302, 303]) {
      const expected = status === 303 ? "GET" : "PUT";
      const init = { method: "PUT", body: "text" };
      const response = await fetch(new Request(path(status)), init);
      assertEquals(response.redirected, true);
      assertEquals(response.clone().redirected, true);
      assertEquals((await response.json()).method, expected);
      const head = await fetch(path(status), { method: "HEAD" });
      assertEquals([head.status, await head.text()], [200, ""]);
    }
  }));

test("createFetch() gives up after 20 redirects", () =>
  withFetch(async ({ fetch, web, url }) => {
    await assertNotOfProxy(fetch(url("/redirect?302,")));
    assertEquals(web.requests.length, 21);
  }));

test("createFetch() follows redirects between http: and https: through the proxy", async () => {
  const certificate = issue({
    subject: "/CN=one",
    extensions: ["subjectAltName=DNS:one.test"],
  });
  const secure = await startWeb(certificate);
  const targetTls = { ca: certificate.cert };
  await withFetch(async ({ fetch, web, proxy, url }) => {
    const last = encodeURIComponent(url("/last", "two.test"));
    const middle = encodeURIComponent(
      `https://one.test:${secure.port}/redirect?302,${last}`,
    );
    const response = await fetch(url(`/redirect?302,${middle}`));
    assertEquals(response.url, url("/last", "two.test"));
    assertEquals(await response.text(), "/last");
    assertEquals(secure.connections, 1);
    assertNoBypassOf(proxy, web, secure);
  }, { targetTls });
  await secure.close();
});

test("createFetch() does not follow a redirect to another scheme", () =>
  withFetch(async ({ fetch, url }) => {
    for (const to of ["file:///etc/hostname", "s3://bucket/key"]) {
      const path = `/redirect?302,${encodeURIComponent(to)}`;
      await assertRejects(() => fetch(url(path)), Error);
    }
  }));

test("followRedirects() drops the response of a redirect that it does not follow", async () => {
  for (const location of ["gopher://one.test", "http://["]) {
    let isCancelled = false;
    const body = new ReadableStream({
      cancel: () => void (isCancelled = true),
    });
    const response = new Response(body, { status: 302, headers: { location } });
    const url = "http://one.test/";
    const call = { input: url, init: {}, url, signal: undefined };
    const followed = followRedirects(call, () => Promise.resolve(response));
    await assertRejects(() => followed, TypeError);
    assert(isCancelled, location);
  }
});

test("createFetch() leaves a redirect to the caller with redirect: manual", () =>
  withFetch(async ({ fetch, web, url }) => {
    const path = `/redirect?302,${encodeURIComponent(url("/other"))}`;
    const response = await fetch(url(path), { redirect: "manual" });
    assertEquals(response.redirected, false);
    await response.body?.cancel();
    await assertNotOfProxy(fetch(url(path), { redirect: "error" }));
    assertEquals(web.requests.length, 2);
  }));

// Failures

/** A row: the fault, the proxy and the URL, the code and the phase of the cause. */
const FAULTS: readonly [
  name: string,
  open: () => Promise<[proxy: string, close: () => Promise<void>]>,
  code: SocksErrorCode,
  phase: string,
][] = [
  [
    "the target refuses",
    async () => {
      const proxy = await startProxy({
        dial: () => Promise.reject({ reply: 5 }),
      });
      return [urlOf(proxy), () => proxy.close()];
    },
    "rejected",
    "request",
  ],
  [
    "the login is wrong",
    async () => {
      const proxy = await startProxy();
      return [urlOf(proxy, "socks5h", "al:secret"), () => proxy.close()];
    },
    "login-failed",
    "auth",
  ],
  [
    "the login is missing",
    async () => {
      const proxy = await startProxy();
      const { port } = proxy.server.addr;
      return [`socks5h://127.0.0.1:${port}`, () => proxy.close()];
    },
    "no-method",
    "method",
  ],
  [
    "the proxy is down",
    async () => [
      `socks5h://al:secret@127.0.0.1:${await closedPort()}`,
      () => Promise.resolve(),
    ],
    "proxy-unreachable",
    "dial",
  ],
  [
    "the proxy hangs",
    async () => {
      const proxy = await startTarget();
      return [
        `socks5h://al:secret@127.0.0.1:${proxy.addr.port}`,
        () => proxy.close(),
      ];
    },
    "timeout",
    "method",
  ],
  [
    "the proxy hangs up",
    async () => {
      const proxy = await startTarget((conn) => conn.close());
      return [
        `socks5h://al:secret@127.0.0.1:${proxy.addr.port}`,
        () => proxy.close(),
      ];
    },
    "proxy-closed",
    "method",
  ],
  [
    "the proxy speaks another protocol",
    async () => {
      const proxy = await startTarget((conn) =>
        conn.write(new TextEncoder().encode("SSH-2.0-x\r\n"))
      );
      return [
        `socks5h://al:secret@127.0.0.1:${proxy.addr.port}`,
        () => proxy.close(),
      ];
    },
    "protocol",
    "method",
  ],
];

for (const [name, open, code, phase] of FAULTS) {
  for (const scheme of ["http", "https"]) {
    test(`createFetch() rejects with a SocksError as the cause for ${scheme}: if ${name}`, async () => {
      const web = await startWeb();
      const [url, close] = await open();
      const timeout = code === "timeout" ? 2_000 : undefined;
      const fetch = createFetch(url, { timeout });
      const call = () => fetch(`${scheme}://127.0.0.1:${web.port}/`);
      const error = await assertRejects(call, TypeError);
      const { cause } = error;
      assert(cause instanceof SocksError, inspect(error));
      assertEquals([cause.code, cause.phase], [code, phase]);
      assert(!inspect(error).includes("secret"), inspect(error));
      assertEquals(web.connections, 0);
      await fetch.close();
      await close();
      await web.close();
    });
  }
}

test(
  "createFetch() does not take the failure of another call for that of its own",
  async () => {
    const target = await startTarget((conn) => {
      conn.read().then(() => conn.reset(), () => {});
    });
    const refused = await closedPort();
    await withFetch(async ({ fetch, url }) => {
      await (await fetch(url("/"))).text();
      const origin = (port: number) => `http://127.0.0.1:${port}/`;
      await Promise.all(Array.from({ length: 20 }, async () => {
        const other = assertRejects(() => fetch(origin(refused)), Error);
        await assertNotOfProxy(fetch(origin(target.addr.port)));
        assert((await other).cause instanceof SocksError);
      }));
    });
    await target.close();
  },
  { skip: runtime === "node" ? "left to the runtime" : undefined },
);

test("createFetch() rejects if an IPv6 target cannot be reached", async () => {
  const port = await closedPort();
  await withFetch(async ({ fetch }) => {
    for (const url of [`http://[::1]:${port}/`, `https://[::1]:${port}/`]) {
      const error = await assertRejects(() => fetch(url), TypeError);
      assert(error.cause instanceof SocksError, inspect(error));
      assertEquals(error.cause.code, "rejected");
    }
  });
});

test("createFetch() rejects if the target of a redirect cannot be reached", () =>
  withFetch(async ({ fetch, url }) => {
    const to = encodeURIComponent("http://three.test/");
    const error = await assertRejects(
      () => fetch(url(`/redirect?302,${to}`)),
      TypeError,
    );
    assert(error.cause instanceof SocksError, inspect(error));
    assertEquals(error.cause.code, "rejected");
  }));

test("createFetch() rejects if the target hangs up, and returns its errors", () =>
  withFetch(async ({ fetch, proxy }) => {
    const target = await startTarget((conn) => conn.close());
    const url = `http://one.test:${target.addr.port}/`;
    await assertNotOfProxy(fetch(url));
    await target.close();
    const bad = await startTarget(async (conn) => {
      await conn.read();
      const text = "HTTP/1.1 502 Bad\r\nContent-Length: 4\r\n\r\nbody";
      await conn.write(new TextEncoder().encode(text));
    });
    const response = await fetch(`http://one.test:${bad.addr.port}/`);
    assertEquals([response.status, await response.text()], [502, "body"]);
    assert(target.conns.length + bad.conns.length <= opened(proxy));
    await bad.close();
  }));

// Abort

test("createFetch() aborts at once, whatever it waits for", () =>
  withFetch(async ({ fetch, web, url }) => {
    const reason = new Error("enough");
    const aborted = AbortSignal.abort(reason);
    const early = fetch(url("/"), { signal: aborted });
    assertEquals(await assertRejects(() => early, Error), reason);
    // While the way is opened
    const first = new AbortController();
    const opening = fetch(url("/"), { signal: first.signal });
    first.abort(reason);
    assertEquals(await assertRejects(() => opening, Error), reason);
    await (await fetch(url("/"))).text();
    // While the target is silent
    const second = new AbortController();
    const waiting = fetch(url("/silent"), { signal: second.signal });
    await until(() => web.requests.length > 1);
    second.abort();
    const { name } = await assertRejects(() => waiting, Error);
    assertEquals(name, "AbortError");
    // By the signal of a Request, and during the body
    const third = new AbortController();
    const request = new Request(url("/never"), { signal: third.signal });
    const { body } = await fetch(request);
    const reading = body!.getReader().read();
    third.abort();
    await assertRejects(() => reading, Error);
  }));

test("createFetch() waits for a slow target longer than for the proxy", () =>
  withFetch(async ({ fetch, web, url }) => {
    const call = fetch(url("/later"));
    const state = await Promise.race([
      call.then(() => "answered", () => "failed"),
      new Promise((resolve) => setTimeout(() => resolve("waiting"), 2_500)),
    ]);
    assertEquals(state, "waiting");
    await until(() => web.requests.length > 0);
    web.answerLater();
    assertEquals(await (await call).text(), "later");
  }, { timeout: 2_000 }));

test("createFetch() aborts at once while the proxy hangs", async () => {
  const proxy = await startTarget();
  const fetch = createFetch(`socks5h://127.0.0.1:${proxy.addr.port}`);
  const controller = new AbortController();
  const { signal } = controller;
  const call = fetch("http://one.test/", { signal });
  await proxy.accepted();
  controller.abort();
  const { name } = await assertRejects(() => call, Error);
  assertEquals(name, "AbortError");
  await fetch.close();
  await proxy.close();
});

test("createFetch() stops connecting when a call is aborted", async () => {
  const proxy = await startTarget();
  const fetch = createFetch(`socks5h://127.0.0.1:${proxy.addr.port}`);
  const controller = new AbortController();
  const { signal } = controller;
  const call = fetch("http://one.test/", { signal });
  const conn = await proxy.accepted();
  controller.abort();
  await assertRejects(() => call, Error);
  let chunk: Uint8Array | null;
  do chunk = await conn.read().catch(() => null); while (chunk);
  await fetch.close();
  await proxy.close();
}, {
  skip: runtime === "node" ? "undici goes on until the timeout" : undefined,
});

// Nothing goes around the proxy

/** Runs `use` with a proxy that denies everything, and passes if it was not bypassed. */
async function assertNoBypass(
  use: (fetch: ProxiedFetch, url: string, web: Web) => Promise<void>,
): Promise<void> {
  const web = await startWeb();
  const proxy = await startProxy({ policy: () => false });
  const fetch = createFetch(urlOf(proxy));
  await use(fetch, `http://localhost:${web.port}/`, web);
  assertEquals(web.connections, 0);
  await fetch.close();
  await web.close();
  await proxy.close();
}

const VARIABLES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];

/** Runs `use` with these environment variables, in capitals or not, and restores them. */
async function withEnvironment(
  variables: Record<string, string>,
  use: () => Promise<void>,
): Promise<void> {
  const before = { ...process.env };
  Object.assign(process.env, variables);
  try {
    await use();
    for (const [name, value] of Object.entries(variables)) {
      assertEquals(process.env[name], value);
    }
  } finally {
    for (const name of Object.keys(variables)) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  }
}

const NO_PROXIES = ["*", "localhost", "127.0.0.1,localhost", ".test,localhost"];

for (const names of [(it: string) => it, (it: string) => it.toLowerCase()]) {
  for (const hosts of NO_PROXIES) {
    test(`createFetch() ignores ${names("NO_PROXY")}=${hosts}`, () =>
      withEnvironment(
        { [names("NO_PROXY")]: hosts },
        () =>
          assertNoBypass(async (fetch, url) => {
            for (let i = 0; i < 2; i++) {
              for (const host of ["localhost", "127.0.0.1"]) {
                const call = () => fetch(url.replace("localhost", host));
                const { cause } = await assertRejects(call, TypeError);
                assert(cause instanceof SocksError);
              }
            }
          }),
      ));
  }

  test(`createFetch() ignores the other proxies of the environment, such as ${names("HTTP_PROXY")}`, async () => {
    const other = await startTarget((conn) => conn.close());
    const proxy = `http://127.0.0.1:${other.addr.port}`;
    const entries = VARIABLES.slice(0, 3).map((it) => [names(it), proxy]);
    await withEnvironment(
      Object.fromEntries(entries),
      () =>
        withFetch(async ({ fetch, web, proxy, url }) => {
          const path = `/redirect?302,${encodeURIComponent(url("/last"))}`;
          assertEquals(await (await fetch(url(path))).text(), "/last");
          assertNoBypassOf(proxy, web);
        }),
    );
    assertEquals(other.conns.length, 0);
    await other.close();
  });
}

test("createFetch() stays on the proxy for a redirect to a host of NO_PROXY", () =>
  withEnvironment(
    { NO_PROXY: "localhost,127.0.0.1" },
    () =>
      withFetch(async ({ fetch, web, proxy, url }) => {
        const path = `/redirect?302,${
          encodeURIComponent(url("/", "localhost"))
        }`;
        const response = await fetch(url(path));
        assertEquals(response.url, url("/", "localhost"));
        await response.text();
        assertNoBypassOf(proxy, web);
      }),
  ));

const OTHER_WAYS = ["dispatcher", "client", "proxy", "unix", "agent"];

for (const key of OTHER_WAYS) {
  test(`createFetch() refuses the option ${key}`, () =>
    assertNoBypass(async (fetch, url) => {
      for (const value of [{}, "http://127.0.0.1:1", "", null, false]) {
        const init = { [key]: value } as RequestInit;
        const call = () => fetch(url, init);
        const { message } = await assertRejects(call, TypeError);
        assert(message.startsWith(key), message);
      }
    }));
}

test("createFetch() ignores another way in a Request", () =>
  assertNoBypass(async (fetch, url) => {
    const { Deno } = globalThis as {
      Deno?: { createHttpClient(options: object): { close(): void } };
    };
    const client = Deno?.createHttpClient({});
    const dispatcher = { dispatch: () => true };
    const bun = { unix: "/nonexistent", proxy: "http://127.0.0.1:1" };
    const other = runtime === "deno"
      ? { client }
      : runtime === "node"
      ? { dispatcher }
      : bun;
    for (let i = 0; i < 2; i++) {
      const request = new Request(url, other as RequestInit);
      const { cause } = await assertRejects(() => fetch(request), TypeError);
      assert(cause instanceof SocksError);
    }
    client?.close();
  }));

const SCHEMES_REFUSED = [
  "file:///etc/hostname",
  "s3://bucket/key",
  "ftp://127.0.0.1/",
  "unix:/run/x",
  "/relative",
  "",
  " file:///etc/hostname",
];

for (const url of SCHEMES_REFUSED) {
  test(`createFetch() refuses the URL "${url}"`, () =>
    assertNoBypass(async (fetch) => {
      await assertRejects(() => fetch(url), TypeError);
    }));
}

test("createFetch() reads the text of an object once", () =>
  assertNoBypass(async (fetch, url) => {
    const texts = [url, "file:///etc/hostname"];
    const input = { toString: () => texts.shift() } as unknown as URL;
    const { cause } = await assertRejects(() => fetch(input), TypeError);
    assert(cause instanceof SocksError);
    assertEquals(texts.length, 1);
  }));

test(
  "createFetch() refuses a global fetch() that is not the runtime's own",
  () =>
    assertNoBypass(async (_, url, web) => {
      const own = globalThis.fetch;
      let calls = 0;
      globalThis.fetch = () => Promise.resolve(new Response(`${++calls}`));
      const proxy = await startProxy();
      const fetch = createFetch(urlOf(proxy));
      globalThis.fetch = own;
      const { message } = await assertRejects(() => fetch(url), Error);
      assert(message.includes("replaced"), message);
      await assertRejects(() => fetch(url), Error);
      await fetch.close();
      await proxy.close();
      assertEquals(web.connections, 0);
    }),
  { skip: runtime === "deno" ? "Deno's own is not needed" : undefined },
);

test("createFetch() keeps the runtime's fetch() if it is replaced later", () =>
  withFetch(async ({ fetch, url }) => {
    const own = globalThis.fetch;
    globalThis.fetch = () => Promise.reject(new Error("replaced"));
    try {
      assertEquals(await (await fetch(url("/own"))).text(), "/own");
    } finally {
      globalThis.fetch = own;
    }
  }));

// Options and the end

test("createFetch() rejects calls after close()", () =>
  withFetch(async ({ fetch, web, url }) => {
    await (await fetch(url("/"))).text();
    await fetch.close();
    await fetch.close();
    const { message } = await assertRejects(() => fetch(url("/")), TypeError);
    assert(message.includes("closed"), message);
    const other = createFetch("socks5h://127.0.0.1:1");
    await other[Symbol.asyncDispose]();
    await assertRejects(() => other(url("/")), TypeError);
    assertEquals(web.requests.length, 1);
  }));

test("createFetch() can be closed while the way is opened", () =>
  withFetch(async ({ fetch, web, url }) => {
    const call = fetch(url("/"));
    await Promise.all([
      fetch.close(),
      assertRejects(() => call, TypeError),
    ]);
    assertEquals(web.connections, 0);
  }));

test("createFetch() shows no credentials", () => {
  const fetch = createFetch("socks5h://al:secret@127.0.0.1:1");
  assert(!inspect(fetch, { depth: 9, showHidden: true }).includes("secret"));
  assert(!`${fetch}`.includes("secret"));
});

const INVALID: readonly [name: string, hops: unknown, options: unknown][] = [
  ["no hops", [], {}],
  ["an unknown scheme", "ftp://al:secret@127.0.0.1", {}],
  ["an unknown option", "socks5h://127.0.0.1", { proxy: "secret" }],
  ["an invalid timeout", "socks5h://127.0.0.1", { timeout: -1 }],
  ["TLS for hops without it", "socks5h://127.0.0.1", { tls: {} }],
  ["an unknown key of targetTls", "socks5h://127.0.0.1", {
    targetTls: { rejectUnauthorized: false },
  }],
  ["a certificate as bytes", "socks5h://127.0.0.1", {
    targetTls: { ca: new Uint8Array(1) },
  }],
  ["options as a text", "socks5h://127.0.0.1", "secret"],
];

for (const [name, hops, options] of INVALID) {
  test(`createFetch() throws for ${name}`, () => {
    const { message } = assertThrows(
      () => createFetch(hops as string, options as FetchOptions),
      TypeError,
    );
    assert(!message.includes("secret"), message);
  });
}
