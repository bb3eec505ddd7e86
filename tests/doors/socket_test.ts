/** Sockets through proxies. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { once } from "node:events";
import * as net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import * as tls from "node:tls";
import { inspect } from "node:util";
import { type ClientAuth, socks, SocksError } from "../../src/client/mod.ts";
import { dialSocket, SocksSocket } from "../../src/doors/socket/mod.ts";
import { certificates } from "../support/certificates.ts";
import { test } from "../support/harness.ts";
import { startProxy } from "../support/scripted.ts";
import { octets } from "../support/table.ts";
import { closedPort } from "../support/server.ts";
import { until } from "../transport/contract.ts";
import { closed, echo, failure, receive, startWay, type Way } from "./way.ts";

const { ca, server: certificate } = certificates();
const tlsOptions = { ca: ca.cert };

/** The ways to a target: the proxies and the options for them. */
const ways: [
  name: string,
  open: (way: Way) => [hops: string, options?: object],
][] = [
  ["a SOCKS5 proxy", (way) => [way.url()]],
  ["a SOCKS5 proxy that gets addresses", (way) => [way.url("socks5")]],
  ["an HTTP proxy", (way) => [way.url("http")]],
  ["three proxies", (way) => [
    [way.url(), way.url("http"), way.url("socks5")].join(" "),
  ]],
];
/** The same with TLS. */
const tlsWays: typeof ways = [
  ["a SOCKS5 proxy with TLS", (way) => [
    way.url("socks5h+tls"),
    { tls: tlsOptions },
  ]],
  ["an HTTPS proxy", (way) => [way.url("https"), { tls: tlsOptions }]],
  ["three proxies with TLS", (way) => [
    [way.url("https"), way.url("socks5h+tls"), way.url("socks5+tls")].join(" "),
    { tls: tlsOptions },
  ]],
];
const all = [
  ...ways.map((it) => [...it, {}] as const),
  ...tlsWays.map((it) => [...it, { tls: certificate }] as const),
];

for (const [name, open, options] of all) {
  test(`dialSocket() goes through ${name}`, async () => {
    const way = await startWay(echo, { http: true, ...options });
    const [hops, how] = open(way);
    const target = { hostname: "localhost", port: way.port };
    const socket = await dialSocket(hops, target, how);
    assert(socket instanceof net.Socket);
    socket.write("hello");
    await receive(socket, "hello");
    socket.end();
    await closed(socket);
    socket.destroy();
    await way.close();
  });

  test(`SocksSocket goes through ${name}`, async () => {
    const way = await startWay(echo, { http: true, ...options });
    const [hops, how] = open(way);
    const socket = new SocksSocket(hops, how);
    let connected = 0;
    socket.on("ready", () => connected++);
    assertEquals(
      socket.connect(way.port, "localhost", () => connected++),
      socket,
    );
    assertEquals([socket.connecting, socket.readyState], [true, "opening"]);
    socket.write("before");
    await receive(socket, "before");
    assertEquals([socket.connecting, connected], [false, 2]);
    socket.write("after");
    await receive(socket, "after");
    assertEquals(socket.remotePort, way.server.server.addr.port);
    assertEquals(typeof socket.localPort, "number");
    socket.end();
    await closed(socket);
    await way.close();
  });

  test(`early data through ${name} waits for the reader`, async () => {
    const size = 300_000;
    const way = await startWay((socket) => {
      socket.write("x".repeat(size));
    }, { http: true, ...options });
    const [hops, how] = open(way);
    const target = `127.0.0.1:${way.port}`;
    const dialed = await dialSocket(hops, target, how);
    const emitted = new SocksSocket(hops, how).connect(way.port, "127.0.0.1");
    await new Promise<void>((resolve) => emitted.once("connect", resolve));
    await new Promise((resolve) => setTimeout(resolve, 50));
    for (const socket of [dialed, emitted]) {
      let length = 0;
      socket.on("data", (chunk) => length += chunk.length);
      await until(() => length === size);
      socket.destroy();
    }
    await way.close();
  });

  test(`an abort ends a dial through ${name} at once`, async () => {
    const way = await startWay(echo, {
      http: true,
      ...options,
      dial: () => new Promise(() => {}),
    });
    const [hops, how] = open(way);
    const controller = new AbortController();
    const { signal } = controller;
    const requested = new Promise<void>((resolve) => {
      void until(() => way.server.events.some((it) => it.type === "request"))
        .then(resolve);
    });
    const dial = dialSocket(hops, "192.0.2.1:80", { ...how, signal });
    const socket = new SocksSocket(hops, { ...how, signal }).connect(
      80,
      "192.0.2.1",
    );
    const failed = failure(socket);
    await requested;
    controller.abort(new Error("enough"));
    const error = await assertRejects(
      () => dial,
      Error,
    ) as NodeJS.ErrnoException;
    assertEquals([error.name, error.code], ["AbortError", "ABORT_ERR"]);
    assertEquals((error.cause as SocksError).code, "aborted");
    assertEquals((await failed).code, "ABORT_ERR");
    await closed(socket);
    await way.close();
  });

  test(`the time limit ends a dial through ${name}`, async () => {
    const way = await startWay(echo, {
      http: true,
      ...options,
      dial: () => new Promise(() => {}),
    });
    const [hops, how] = open(way);
    const bounds = { ...how, timeout: 300 };
    const dial = dialSocket(hops, "192.0.2.1:80", bounds);
    const failed = failure(
      new SocksSocket(hops, bounds).connect(80, "192.0.2.1"),
    );
    const errors = [
      await assertRejects(() => dial, Error) as NodeJS.ErrnoException,
      await failed,
    ];
    for (const { code, cause } of errors) {
      assertEquals(code, "ETIMEDOUT");
      assertEquals((cause as SocksError).code, "timeout");
    }
    await way.close();
  });
}

/** Rows: a script of the proxy, the scheme, and the codes of the error. */
const GREETED = ["05 01 00", "05 00"] as const;
const ASKED = "05 01 00 01 7f 00 00 01 00 50";
const reply = (rep: string) => `05 ${rep} 00 01 00 00 00 00 00 00`;
const CONNECT =
  '"CONNECT 127.0.0.1:80 HTTP/1.1" 0D 0A "Host: 127.0.0.1:80" 0D 0A 0D 0A';
const ASKED4 = "04 01 00 50 7f 00 00 01 00";
const failures: [
  name: string,
  scheme: string,
  script: (readonly [string, string])[],
  code: string,
  cause: string,
][] = [
  [
    "reply 1",
    "socks5h",
    [GREETED, [ASKED, reply("01")]],
    "ECONNREFUSED",
    "rejected",
  ],
  ["reply 2", "socks5h", [GREETED, [ASKED, reply("02")]], "EACCES", "rejected"],
  [
    "reply 3",
    "socks5h",
    [GREETED, [ASKED, reply("03")]],
    "ENETUNREACH",
    "rejected",
  ],
  [
    "reply 4",
    "socks5h",
    [GREETED, [ASKED, reply("04")]],
    "EHOSTUNREACH",
    "rejected",
  ],
  [
    "reply 5",
    "socks5h",
    [GREETED, [ASKED, reply("05")]],
    "ECONNREFUSED",
    "rejected",
  ],
  [
    "reply 6",
    "socks5h",
    [GREETED, [ASKED, reply("06")]],
    "ETIMEDOUT",
    "rejected",
  ],
  [
    "reply 7",
    "socks5h",
    [GREETED, [ASKED, reply("07")]],
    "EOPNOTSUPP",
    "rejected",
  ],
  [
    "reply 8",
    "socks5h",
    [GREETED, [ASKED, reply("08")]],
    "EAFNOSUPPORT",
    "rejected",
  ],
  [
    "an unknown reply",
    "socks5h",
    [GREETED, [ASKED, reply("63")]],
    "ECONNREFUSED",
    "rejected",
  ],
  ["no method", "socks5h", [["05 01 00", "05 ff"]], "EACCES", "no-method"],
  ["garbage", "socks5h", [["05 01 00", '"HTTP/1.1"']], "EPROTO", "protocol"],
  [
    "a broken reply",
    "socks5h",
    [GREETED, [ASKED, "05 00 00 09"]],
    "EPROTO",
    "protocol",
  ],
  [
    "reply 91",
    "socks4",
    [[ASKED4, "00 5b 00 00 00 00 00 00"]],
    "ECONNREFUSED",
    "rejected",
  ],
  [
    "403",
    "http",
    [[CONNECT, '"HTTP/1.1 403 No" 0D 0A 0D 0A']],
    "EACCES",
    "rejected",
  ],
  [
    "407",
    "http",
    [[CONNECT, '"HTTP/1.1 407 No" 0D 0A 0D 0A']],
    "EACCES",
    "login-failed",
  ],
  [
    "502",
    "http",
    [[CONNECT, '"HTTP/1.1 502 No" 0D 0A 0D 0A']],
    "ECONNREFUSED",
    "rejected",
  ],
  [
    "504",
    "http",
    [[CONNECT, '"HTTP/1.1 504 No" 0D 0A 0D 0A']],
    "ETIMEDOUT",
    "rejected",
  ],
];

for (const [name, scheme, script, code, cause] of failures) {
  test(`a proxy that answers with ${name} (${scheme}) is ${code}`, async () => {
    for (const split of [false, true]) {
      const proxy = await startProxy(script, split);
      const url = `${scheme}://127.0.0.1:${proxy.addr.port}`;
      const error = await assertRejects(
        () => dialSocket(url, "127.0.0.1:80"),
        Error,
      ) as NodeJS.ErrnoException & { address?: string; port?: number };
      assertEquals(
        [error.code, error.syscall, error.address, error.port],
        [code, "connect", "127.0.0.1", 80],
      );
      assert(error.cause instanceof SocksError);
      assertEquals(error.cause.code, cause);
      assertEquals(error.cause.hop, {
        number: 1,
        address: `127.0.0.1:${proxy.addr.port}`,
      });
      const emitted = await failure(
        new SocksSocket(url).connect(80, "127.0.0.1"),
      );
      assertEquals([emitted.code, emitted.message], [code, error.message]);
      await proxy.close();
    }
  });
}

test("a proxy that closes or resets the connection anywhere is ECONNRESET", async () => {
  const answers = [octets("05 00"), octets(reply("00"))];
  const all = [...answers[0], ...answers[1]];
  for (let cut = 0; cut < all.length; cut++) {
    for (const end of ["end", "resetAndDestroy"] as const) {
      const proxy = net.createServer((socket) => {
        let sent = 0;
        socket.on("error", () => {});
        socket.on("data", () => {
          const next = all.slice(
            sent,
            Math.min(cut, sent === 0 ? 2 : all.length),
          );
          sent += next.length;
          if (next.length > 0) socket.write(Uint8Array.from(next));
          if (sent === cut) setTimeout(() => socket[end](), 2);
        });
      });
      await new Promise<void>((resolve) =>
        proxy.listen(0, "127.0.0.1", resolve)
      );
      const { port } = proxy.address() as net.AddressInfo;
      const error = await assertRejects(
        () => dialSocket(`socks5h://127.0.0.1:${port}`, "127.0.0.1:80"),
        Error,
      ) as NodeJS.ErrnoException;
      assertEquals(error.code, "ECONNRESET", `${cut} ${end} ${error.message}`);
      assertEquals((error.cause as SocksError).code, "proxy-closed");
      await new Promise((resolve) => proxy.close(resolve));
    }
  }
});

test("early data is delivered once, however the answer is split", async () => {
  const answer = octets(`${reply("00")} "early data"`);
  for (let cut = 1; cut < answer.length; cut++) {
    const proxy = net.createServer((socket) => {
      socket.once("data", () => {
        socket.write(octets("05 00"));
        socket.once("data", () => {
          socket.setNoDelay(true);
          socket.write(answer.subarray(0, cut));
          setTimeout(() => socket.end(answer.subarray(cut)), 1);
        });
      });
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    const { port } = proxy.address() as net.AddressInfo;
    const url = `socks5h://127.0.0.1:${port}`;
    const dialed = await dialSocket(url, "127.0.0.1:80");
    const emitted = new SocksSocket(url).connect(80, "127.0.0.1");
    for (const socket of [dialed, emitted]) {
      let text = "";
      for await (const chunk of socket) text += chunk;
      assertEquals(text, "early data");
      await closed(socket);
    }
    await new Promise((resolve) => proxy.close(resolve));
  }
});

test("SocksSocket delivers what comes with the reply after connect", async () => {
  const proxy = await startProxy([GREETED, [ASKED, `${reply("00")} "hi"`]]);
  const socket = new SocksSocket(`socks5h://127.0.0.1:${proxy.addr.port}`);
  const order: string[] = [];
  socket.on("connect", () => order.push("connect"));
  socket.on("ready", () => order.push("ready"));
  socket.on("data", (chunk) => order.push(`${chunk}`));
  socket.connect({ host: "127.0.0.1", port: 80 });
  await until(() => order.length === 3);
  assertEquals(order, ["connect", "ready", "hi"]);
  socket.destroy();
  await closed(socket);
  await proxy.close();
});

test("SocksSocket can be closed at any time", async () => {
  const way = await startWay();
  for (const phase of ["at once", "connecting", "connected"]) {
    const socket = new SocksSocket(way.url());
    socket.connect(way.port, "127.0.0.1");
    if (phase === "connecting") {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    if (phase === "connected") {
      await new Promise<void>((resolve) => socket.once("connect", resolve));
    }
    socket.destroy();
    await closed(socket);
    assertEquals(socket.destroyed, true, phase);
  }
  const failed = new SocksSocket(way.url()).connect(way.port, "127.0.0.1");
  const error = new Error("of the caller");
  const emitted = failure(failed);
  failed.destroy(error);
  assertEquals(await emitted, error);
  await way.close();
});

test("a socket that was closed connects through the proxy again", async () => {
  const way = await startWay(echo, { tls: certificate });
  const url = way.url("socks5h+tls");
  const options = { tls: tlsOptions };
  const plain = await startWay(echo, { dial: socks(url, options) });
  const sockets = [
    new SocksSocket(plain.url()),
    await dialSocket(plain.url(), `127.0.0.1:${way.port}`),
    new SocksSocket(url, options),
  ];
  for (const socket of sockets) {
    for (let i = 0; i < 2; i++) {
      const connected = new Promise((resolve) =>
        socket.once("connect", resolve)
      );
      if (i > 0 || socket !== sockets[1]) {
        socket.connect(way.port, "127.0.0.1");
        await connected;
      }
      const gone = new Promise((resolve) => socket.once("close", resolve));
      socket.destroy();
      await gone;
    }
  }
  await way.assertThrough(6);
  await plain.close();
  await way.close();
});

test("SocksSocket keeps half-open connections if it has to", async () => {
  const way = await startWay((socket) => {
    socket.end("bye");
    socket.on("data", (chunk) => received += chunk);
  });
  let received = "";
  const socket = new SocksSocket(way.url(), { allowHalfOpen: true });
  socket.connect(way.port, "127.0.0.1");
  let ended = false;
  socket.on("end", () => ended = true).resume();
  await until(() => ended);
  socket.end("later");
  await until(() => received === "later");
  socket.destroy();
  await way.close();
});

test("SocksSocket emits timeout while the proxy is silent", async () => {
  const way = await startWay(echo, { dial: () => new Promise(() => {}) });
  const socket = new SocksSocket(way.url()).connect(80, "192.0.2.1");
  await new Promise<void>((resolve) => socket.setTimeout(50, resolve));
  assertEquals(socket.connecting, true);
  socket.destroy();
  await closed(socket);
  await way.close();
});

for (const scheme of ["socks5h", "socks5h+tls"]) {
  test(`SocksSocket has the options of sockets (${scheme})`, async () => {
    const way = await startWay(
      echo,
      scheme === "socks5h" ? {} : { tls: certificate },
    );
    const how = scheme === "socks5h" ? {} : { tls: tlsOptions };
    const socket = new SocksSocket(way.url(scheme), how);
    const options = {
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 1000,
    };
    socket.connect({ host: "127.0.0.1", port: way.port, ...options });
    assertEquals(socket.unref().ref(), socket);
    await new Promise<void>((resolve) => socket.once("connect", resolve));
    assertEquals(
      socket.setNoDelay().setKeepAlive(true, 1000).setTimeout(0),
      socket,
    );
    const { address, port } = socket.address() as net.AddressInfo;
    assertEquals([address, port], [socket.localAddress, socket.localPort]);
    assertEquals(socket.remotePort, way.server.server.addr.port);
    socket.resetAndDestroy();
    await closed(socket);
    await way.close();
  });
}

test("dialSocket() speaks TLS with the target", async () => {
  const target = tls.createServer(
    { ...certificate, ALPNProtocols: ["b"] },
    (socket) => socket.pipe(socket),
  );
  target.on("tlsClientError", () => {});
  const way = await startWay((socket) =>
    void target.emit("connection", socket)
  );
  const at = (hostname: string) => ({ hostname, port: way.port });
  for (const hostname of ["localhost", "127.0.0.1"]) {
    const socket = await dialSocket(way.url(), at(hostname), {
      targetTls: { ca: ca.cert, ALPNProtocols: ["a", "b"] },
    });
    assert(socket instanceof tls.TLSSocket);
    assertEquals(socket.alpnProtocol, "b");
    socket.write("secret");
    await receive(socket, "secret");
    socket.destroy();
  }
  const untrusted = await assertRejects(
    () => dialSocket(way.url(), at("localhost"), { targetTls: true }),
    Error,
  ) as NodeJS.ErrnoException;
  assertMatch(`${untrusted.code}`, /CERT|ISSUER|VERIFY/);
  const misnamed = await assertRejects(
    () =>
      dialSocket(way.url(), at("localhost"), {
        targetTls: { ca: ca.cert, servername: "other.test" },
      }),
    Error,
  ) as NodeJS.ErrnoException;
  for (const { cause } of [untrusted, misnamed]) {
    assert(cause instanceof SocksError);
    assertEquals(cause.phase, "target-tls");
  }
  assertEquals((misnamed.cause as SocksError).code, "tls-name");
  await way.close();
});

for (const scheme of ["socks5h", "socks5h+tls"]) {
  test(`a paused socket with TLS holds the target back (${scheme})`, async () => {
    const size = 128 * 1024 * 1024;
    let sent = 0;
    const target = tls.createServer(certificate, (socket) => {
      const chunk = new Uint8Array(64 * 1024);
      socket.on("error", () => {});
      const send = () => {
        while (sent < size) {
          sent += chunk.length;
          if (!socket.write(chunk)) return void socket.once("drain", send);
        }
        socket.end();
      };
      send();
    });
    const isOver = scheme === "socks5h+tls";
    const way = await startWay(
      (socket) => void target.emit("connection", socket),
      isOver ? { tls: certificate } : {},
    );
    const socket = await dialSocket(
      way.url(scheme),
      { hostname: "localhost", port: way.port },
      { targetTls: { ca: ca.cert }, ...isOver && { tls: tlsOptions } },
    );
    let received = 0;
    socket.on("data", (chunk: Uint8Array) => received += chunk.length);
    await once(socket, "data");
    socket.pause();
    for (let before = -1; before !== sent;) {
      before = sent;
      await sleep(500);
    }
    assert(sent < size / 2, `${sent} octets`);
    socket.resume();
    await once(socket, "end");
    assertEquals(received, size);
    socket.destroy();
    await way.close();
  });
}

test("a proxy with an untrusted certificate gets no login", async () => {
  const way = await startWay(echo, { tls: certificate });
  const error = await assertRejects(
    () => dialSocket(way.url("socks5h+tls"), "127.0.0.1:80"),
    Error,
  ) as NodeJS.ErrnoException;
  assertEquals((error.cause as SocksError).code, "tls-untrusted");
  assert(way.server.events.every(({ type }) => type !== "auth"));
  const tls = { fingerprint256: "00".repeat(32) };
  const pinned = await assertRejects(
    () => dialSocket(way.url("socks5h+tls"), "127.0.0.1:80", { tls }),
    Error,
  );
  assertEquals((pinned.cause as SocksError).code, "tls-pin");
  await way.close();
});

test("a hop that is down is named by the error", async () => {
  const way = await startWay();
  const port = await closedPort();
  const hops = [way.url(), `socks5h://127.0.0.1:${port}`, way.url()];
  const error = await assertRejects(() => dialSocket(hops, "a.test:80"), Error);
  const { hop } = error.cause as SocksError;
  assertEquals(hop?.number, 1);
  assertStringIncludes(
    error.message,
    `hop 1 of 3 (localhost:${way.server.server.addr.port}) ` +
      `could not reach hop 2 (127.0.0.1:${port})`,
  );
  await way.close();
});

test("a name that the client resolves and cannot is ENOTFOUND", async () => {
  const way = await startWay();
  const error = await assertRejects(
    () => dialSocket(way.url("socks5"), "nowhere.invalid:80"),
    Error,
  ) as NodeJS.ErrnoException;
  assertMatch(`${error.code}`, /ENOTFOUND|EAI_AGAIN/);
  const version6 = await assertRejects(
    () => dialSocket(way.url("socks4"), "[::1]:80"),
    Error,
  ) as NodeJS.ErrnoException;
  assertEquals(version6.code, "EAFNOSUPPORT");
  await way.close();
});

test("the credentials of the proxies are in no text", async () => {
  const way = await startWay();
  const socket = new SocksSocket(way.url());
  assert(!inspect(socket, { depth: 9, showHidden: true }).includes("p@ss"));
  const error = await assertRejects(
    () => dialSocket(way.url().replace("al:", "eve:"), "a.test:80"),
    Error,
  );
  assert(!inspect(error, { depth: 9 }).includes("p@ss"));
  assert(!inspect(error, { depth: 9 }).includes("p%40ss"));
  socket.destroy();
  await way.close();
});

const token: ClientAuth = {
  number: 0x80,
  name: "token",
  negotiate: async () => {},
};
const invalid: [name: string, create: () => unknown, message: RegExp][] = [
  ["no proxy", () => new SocksSocket(" "), /no proxy/],
  ["another scheme", () => new SocksSocket("ftp://a"), /begins with/],
  [
    "an unknown key",
    () => new SocksSocket("socks5h://a", { onread: {} } as never),
    /onread/,
  ],
  [
    "a wrong timeout",
    () => new SocksSocket("socks5h://a", { timeout: -1 }),
    /timeout/,
  ],
  [
    "a wrong signal",
    () => new SocksSocket("socks5h://a", { signal: {} as never }),
    /signal/,
  ],
  [
    "a method with I/O",
    () => new SocksSocket("socks5h://a", { auth: [token] }),
    /token/,
  ],
  [
    "TLS without TLS",
    () => new SocksSocket("socks5h://a", { tls: tlsOptions }),
    /socks5h\+tls/,
  ],
  [
    "too many entries of TLS",
    () => new SocksSocket("https://a", { tls: [{}, {}] }),
    /2 entries/,
  ],
  [
    "a path",
    () => new SocksSocket("socks5h://a").connect("/run/db.sock"),
    /host and a port/,
  ],
  [
    "a path in options",
    () => new SocksSocket("socks5h://a").connect({ path: "/run/db" }),
    /host and a port/,
  ],
  [
    "no port",
    () => new SocksSocket("socks5h://a").connect({ host: "a" } as never),
    /host and a port/,
  ],
  [
    "a wrong port",
    () => new SocksSocket("socks5h://a").connect(70_000, "a"),
    /port/,
  ],
];

for (const [name, create, message] of invalid) {
  test(`SocksSocket rejects ${name}`, () => {
    const error = assertThrows(create, TypeError);
    assertMatch(error.message, message);
  });
}

const invalidDials: [name: string, dial: () => Promise<unknown>][] = [
  [
    "an unknown key",
    () => dialSocket("socks5h://a", "a:1", { timeOut: 1 } as never),
  ],
  ["no port", () => dialSocket("socks5h://a", "a")],
  ["a URL", () => dialSocket("socks5h://a", "https://a")],
];

for (const [name, dial] of invalidDials) {
  test(`dialSocket() rejects ${name}`, async () => {
    await assertRejects(dial, TypeError);
  });
}

test("a signal that has fired already ends a dial", async () => {
  const way = await startWay();
  const signal = AbortSignal.abort();
  const error = await assertRejects(
    () => dialSocket(way.url(), "a.test:80", { signal }),
    Error,
  ) as NodeJS.ErrnoException;
  assertEquals(error.code, "ABORT_ERR");
  const timeout = await assertRejects(
    () =>
      dialSocket(way.url(), "192.0.2.1:80", { signal: AbortSignal.timeout(0) }),
    Error,
  ) as NodeJS.ErrnoException;
  assertEquals(timeout.code, "ETIMEDOUT");
  await way.close();
});

test("aborted dials leave nothing open", async () => {
  const way = await startWay(echo, { dial: () => new Promise(() => {}) });
  const dials = Array.from({ length: 100 }, async (_, i) => {
    const controller = new AbortController();
    const { signal } = controller;
    const dial = dialSocket(way.url(), "192.0.2.1:80", { signal });
    setTimeout(() => controller.abort(), i % 10);
    await assertRejects(() => dial, Error);
  });
  await Promise.all(dials);
  await way.close(); // the harness counts sockets and timers
});

test("every connection of a target comes through the proxy", async () => {
  const way = await startWay();
  for (let i = 1; i <= 3; i++) {
    const dialed = await dialSocket(way.url(), `127.0.0.1:${way.port}`);
    const emitted = new SocksSocket(way.url()).connect(way.port, "127.0.0.1");
    await new Promise<void>((resolve) => emitted.once("connect", resolve));
    await way.assertThrough(2 * i);
    dialed.destroy();
    emitted.destroy();
  }
  await way.close();
});
