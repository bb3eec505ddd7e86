/** Arguments of the client that are misspelt or of another type. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  bind,
  type ClientOptions,
  connect,
  type Endpoint,
  passwordLogin,
  type ProxyConfig,
  socks,
  udpAssociate,
} from "../../src/client/mod.ts";
import { test } from "../support/harness.ts";
import {
  assertClosesGiven,
  assertSocksError,
  startProxy,
} from "../support/scripted.ts";
import { startTarget } from "../support/server.ts";
import { TARGET } from "../support/socks5_wire.ts";
import { associated } from "./associated.ts";

const plain = { protocol: "socks5", hostname: "127.0.0.1" } as const;
const LISTENS = "05 00 00 01 0A 00 00 01 12 34";

/** A misspelt key of options, and the key that the error names, if there is one. */
const keys: readonly [key: string, meant?: string][] = [
  ["timeOut", "timeout"],
  ["timout", "timeout"],
  ["sigal", "signal"],
  ["Auth", "auth"],
  ["transprot", "transport"],
  ["con", "conn"],
  ["keepAliveInitialDelay"],
];

test("the commands throw a TypeError for an unknown key, which names the right one", async () => {
  const proxy = socks(plain);
  for (const [key, meant] of keys) {
    const options = { [key]: undefined } as ClientOptions;
    const commands: [name: string, run: () => Promise<unknown>][] = [
      ["connect", () => connect(plain, TARGET, options)],
      ["bind", () => bind(plain, undefined, options)],
      ["udpAssociate", () => udpAssociate(plain, options)],
      ["connect", () => proxy.connect(TARGET, options)],
      ["bind", () => proxy.bind(undefined, options)],
      ["udpAssociate", () => proxy.udpAssociate(options)],
    ];
    for (const [name, run] of commands) {
      const { message } = await assertRejects(run, TypeError);
      const hint = meant ? `, did you mean "${meant}"?` : "";
      assertEquals(
        message,
        `unknown key "${key}" in the options of ${name}()${hint}`,
      );
    }
  }
  const error = await assertRejects(
    () => udpAssociate(plain, { anounce: true } as ClientOptions),
    TypeError,
  );
  assert(error.message.includes('"announce"'), error.message);
});

test("socks() throws a TypeError for an unknown key, which names the right one", () => {
  const defaults = { timeouts: 5 } as ClientOptions;
  assertThrows(() => socks(plain, defaults), TypeError, '"timeout"');
});

test("the commands throw a TypeError when the options are not an object", async () => {
  for (const options of [null, 5_000, "5s"] as unknown as ClientOptions[]) {
    assertThrows(() => socks(plain, options), TypeError, "must be an object");
    const commands = [
      () => connect(plain, TARGET, options),
      () => bind(plain, undefined, options),
      () => udpAssociate(plain, options),
      () => socks(plain).connect(TARGET, options),
    ];
    for (const run of commands) {
      await assertRejects(run, TypeError, "must be an object");
    }
  }
});

test("the commands close the given connection when a key is unknown", async () => {
  const wrong = { timout: 5 };
  await assertClosesGiven([
    (conn) => connect(plain, TARGET, { conn, ...wrong }),
    (conn) => bind(plain, undefined, { conn, ...wrong }),
    (conn) => udpAssociate(plain, { conn, ...wrong }),
    (conn) => socks(plain).connect(TARGET, { conn, ...wrong }),
    (conn) => connect({ ...plain, prot: 1 } as ProxyConfig, TARGET, { conn }),
    (conn) => connect(plain, undefined as unknown as string, { conn }),
    (conn) => connect(undefined as unknown as string, TARGET, { conn }),
  ]);
});

test("the commands throw a TypeError for an option of another type, and close the given connection", async () => {
  const wrong: [options: unknown, message: string][] = [
    [{ signal: new AbortController() }, "must be an AbortSignal"],
    [{ auth: passwordLogin() }, "auth must be a list"],
    [{ auth: passwordLogin }, "auth must be a list"],
    [{ timeout: "5" }, "timeout must be a number"],
  ];
  const queues = ["5", NaN, -1].map((queueLimit): [unknown, string] => [
    { queueLimit },
    "queueLimit must be a number",
  ]);
  for (const [given, message] of wrong) {
    const options = given as ClientOptions;
    await assertClosesGiven([
      async (conn) => {
        const attempt = connect(plain, TARGET, { conn, ...options });
        const error = await assertRejects(() => attempt, TypeError, message);
        throw error;
      },
    ]);
  }
  for (const [given, message] of [...wrong, ...queues]) {
    const attempt = udpAssociate(plain, given as ClientOptions);
    await assertRejects(() => attempt, TypeError, message);
  }
});

test("accept() throws a TypeError for an unknown key, and closes the listener", async () => {
  const server = await startProxy([["05 01 00", "05 00"], [
    "05 02 00 01 6*00",
    LISTENS,
  ]]);
  const listener = await bind({ ...plain, ...server.addr });
  const accepting = listener.accept({ timout: 5 } as ClientOptions);
  await assertRejects(() => accepting, TypeError, '"timeout"');
  assertEquals((await server.rest).length, 0);
  await assertSocksError(listener.accept(), "closed", "bind");
  await server.close();
});

/** An invalid proxy, and a part of the error message. */
const proxies: readonly [proxy: unknown, message: string][] = [
  [undefined, "socks5h://hostname:port"],
  [null, "socks5h://hostname:port"],
  [1080, "socks5h://hostname:port"],
  [{ protocol: "socks5", host: "h" }, 'did you mean "hostname"?'],
  [{ ...plain, user: "al" }, 'did you mean "username"?'],
  [{ ...plain, pasword: "pw" }, 'did you mean "password"?'],
  [{ ...plain, port: "80" }, 'not the string "80"'],
  [{ protocol: "socks5", hostname: 5 }, "hostname"],
  [{ hostname: "h" }, "protocol must be one of"],
];

for (const [proxy, message] of proxies) {
  test(`connect() and socks() throw a TypeError for the proxy ${JSON.stringify(proxy)}`, async () => {
    assertThrows(() => socks(proxy as string), TypeError, message);
    const attempt = connect(proxy as string, TARGET);
    await assertRejects(() => attempt, TypeError, message);
  });
}

/** An invalid target, and a part of the error message. */
const targets: readonly [target: unknown, message: string][] = [
  [undefined, '"HOSTNAME:PORT" or { hostname, port }, not undefined'],
  [null, '"HOSTNAME:PORT" or { hostname, port }, not null'],
  [443, '"HOSTNAME:PORT" or { hostname, port }, not 443'],
  [{}, '"HOSTNAME:PORT" or { hostname, port }'],
  [{ host: "example.com", port: 443 }, 'did you mean "hostname"?'],
  [{ hostName: "example.com", port: 443 }, 'did you mean "hostname"?'],
  [{ hostname: "example.com", prt: 443 }, 'did you mean "port"?'],
  [{ hostname: "example.com", port: "80" }, 'not the string "80"'],
  [{ hostname: "example.com" }, "port must be an integer"],
  ["https://example.com/", 'not a URL: write "example.com:443"'],
  ["http://al:hunter2@example.com", 'not a URL: write "example.com:80"'],
  ["https://[::1]:8443/", 'not a URL: write "[::1]:8443"'],
  ["ftp://example.com", 'not a URL: write "example.com:PORT"'],
  ["https://", 'not a URL: write "example.com:443"'],
  [new URL("https://example.com/"), 'not a URL: write "example.com:443"'],
];

for (const [target, message] of targets) {
  const shown = target instanceof URL ? "URL" : JSON.stringify(target);

  test(`the commands throw a TypeError for the target ${shown}, before they dial`, async () => {
    const server = await startTarget();
    const proxy = { ...plain, ...server.addr };
    const error = await assertRejects(
      () => connect(proxy, target as Endpoint),
      TypeError,
      message,
    );
    assert(!error.message.includes("hunter2"), error.message);
    if (target !== undefined) {
      const attempt = bind(proxy, target as Endpoint);
      await assertRejects(() => attempt, TypeError, message);
    }
    assertEquals(server.conns.length, 0);
    await server.close();
  });
}

test("send() throws a TypeError for a URL and for a misspelt endpoint", async () => {
  await associated(async ({ udp }) => {
    const payload = new Uint8Array(1);
    const sending = udp.send(payload, "https://example.com/");
    await assertRejects(() => sending, TypeError, '"example.com:443"');
    const misspelt = { host: "192.0.2.1", port: 53 } as unknown as Endpoint;
    const failing = udp.send(payload, misspelt);
    await assertRejects(() => failing, TypeError, '"hostname"');
    assertThrows(() => udp.maxPayload(misspelt), TypeError, '"hostname"');
  });
});

test("connect() ignores further members of a complete endpoint", async () => {
  const server = await startProxy([["05 01 00", "05 00"], [
    "05 01 00 01 C0 00 02 01 00 50",
    LISTENS,
  ]]);
  const target = { transport: "tcp", ...TARGET };
  const conn = await connect({ ...plain, ...server.addr }, target);
  conn.close();
  await server.close();
});
