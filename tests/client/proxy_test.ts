import { inspect } from "node:util";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseProxyUrl, type ProxyConfig } from "../../src/client/mod.ts";
import { resolveProxy } from "../../src/client/resolve_proxy.ts";
import { test } from "../support/harness.ts";

const urls: [url: string, proxy: ProxyConfig][] = [
  ["socks5://127.0.0.1", {
    protocol: "socks5",
    hostname: "127.0.0.1",
    port: 1080,
  }],
  ["socks5h://proxy.example:9050", {
    protocol: "socks5h",
    hostname: "proxy.example",
    port: 9050,
  }],
  ["SOCKS4A://proxy/", { protocol: "socks4a", hostname: "proxy", port: 1080 }],
  ["socks4://al@[::1]:1", {
    protocol: "socks4",
    hostname: "::1",
    port: 1,
    username: "al",
  }],
  ["socks5://al:secret@[2001:db8::1]", {
    protocol: "socks5",
    hostname: "2001:db8::1",
    port: 1080,
    username: "al",
    password: "secret",
  }],
  ["socks5://[FD00:0:0::2]", {
    protocol: "socks5",
    hostname: "fd00::2",
    port: 1080,
  }],
  ["socks5://[::ffff:127.0.0.1]", {
    protocol: "socks5",
    hostname: "127.0.0.1",
    port: 1080,
  }],
  ["socks5://a%3Al:p%40s%2Fs%25@h", {
    protocol: "socks5",
    hostname: "h",
    port: 1080,
    username: "a:l",
    password: "p@s/s%",
  }],
  ["socks://al:pw@proxy", {
    protocol: "socks5h",
    hostname: "proxy",
    port: 1080,
    username: "al",
    password: "pw",
  }],
  ["socks5://München.example", {
    protocol: "socks5",
    hostname: "xn--mnchen-3ya.example",
    port: 1080,
  }],
  ["socks5h://日本語。jp:1", {
    protocol: "socks5h",
    hostname: "xn--wgv71a119e.jp",
    port: 1,
  }],
  ["socks5://al@h", {
    protocol: "socks5",
    hostname: "h",
    port: 1080,
    username: "al",
  }],
  ["socks5://:pw@h", {
    protocol: "socks5",
    hostname: "h",
    port: 1080,
    password: "pw",
  }],
  ["http://proxy.example:3128", {
    protocol: "http",
    hostname: "proxy.example",
    port: 3128,
  }],
  ["http://proxy.example", {
    protocol: "http",
    hostname: "proxy.example",
    port: 80,
  }],
  ["http://al:p%3Aw@[::1]:80/", {
    protocol: "http",
    hostname: "::1",
    port: 80,
    username: "al",
    password: "p:w",
  }],
  ["https://al:pw@proxy.example", {
    protocol: "https",
    hostname: "proxy.example",
    port: 443,
    username: "al",
    password: "pw",
  }],
  ["https://[::1]:8443", { protocol: "https", hostname: "::1", port: 8443 }],
  ["socks5://%C3%A9:%E2%82%AC@h:80", {
    protocol: "socks5",
    hostname: "h",
    port: 80,
    username: "é",
    password: "€",
  }],
];

for (const [url, proxy] of urls) {
  test(`parseProxyUrl() parses ${url}`, () => {
    assertEquals(parseProxyUrl(url), proxy);
    assertEquals(parseProxyUrl(new URL(url)), proxy);
    assertEquals(resolveProxy(url), proxy as typeof proxy & { port: number });
  });
}

const badUrls = [
  "",
  "127.0.0.1:1080",
  "ftp://127.0.0.1:1080",
  "ftp://127.0.0.1:1080",
  "socks6://127.0.0.1",
  "socks5://",
  "socks5:///path",
  "socks5://h/path",
  "socks5://h?query",
  "socks5://h#hash",
  "socks5://h:65536",
  "socks5://al:%FF@h",
  "socks5://al:hunter2@h:65536",
  "socks5://al:hunter2@[::1",
  "socks5://al:hunter2@",
  "socks5://al:hunter2",
  "socks5://al:hunter2/@h",
  "socks5://al:hunter2#@h",
  "socks5://al:hunter2%FF@h",
  "socks5://al:hunter2@h/path",
  "ftp://al:hunter2@h",
  "http://a%3Al:hunter2@h:x",
];

for (const url of badUrls) {
  test(`parseProxyUrl() refuses ${JSON.stringify(url)}`, () => {
    const error = assertThrows(() => parseProxyUrl(url), TypeError);
    assert(!inspect(error).includes("hunter2"), error.message);
  });
}

test("resolveProxy() throws for a proxy that no connection or message can be made for", () => {
  const proxy = { protocol: "socks5", hostname: "h" } as const;
  const old = { protocol: "socks4", hostname: "h" } as const;
  const long = "x".repeat(256);
  const bad: ProxyConfig[] = [
    { ...proxy, hostname: "" },
    { ...proxy, port: 0 },
    { ...proxy, port: 65536 },
    { ...proxy, port: 1.5 },
    { ...proxy, username: long, password: "x" },
    { ...proxy, username: "al", password: long },
    { ...old, username: "a\0b" },
    { ...old, username: `${long}${long}x` },
  ];
  for (const it of bad) assertThrows(() => resolveProxy(it), TypeError);
  assertThrows(() => resolveProxy("socks5://h:0"), TypeError);
  resolveProxy({ ...old, username: `${long}${long}` });
});

test("resolveProxy() writes IPv6 addresses in the form that sockets report, and names in ASCII", () => {
  const ways: [given: string, hostname: string][] = [
    ["FD00::2", "fd00::2"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["[0::1]", "::1"],
    ["::FFFF:7f00:1", "127.0.0.1"],
    ["fe80::1%2", "fe80::1%2"],
    ["Proxy.Example", "Proxy.Example"],
    ["[127.0.0.1]", "[127.0.0.1]"],
    ["MÜNCHEN.example", "xn--mnchen-3ya.example"],
  ];
  for (const [given, hostname] of ways) {
    const proxy = resolveProxy({ protocol: "socks5", hostname: given });
    assertEquals(proxy.hostname, hostname);
  }
});

test("resolveProxy() refuses an unknown protocol", () => {
  const proxy = { protocol: "socks5", hostname: "h" } as const;
  assertThrows(
    () => resolveProxy({ ...proxy, protocol: "ftp" as "socks5" }),
    TypeError,
  );
});
