import { inspect } from "node:util";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { proxyFromEnv } from "../../src/client/mod.ts";
import { resolveProxy } from "../../src/client/resolve_proxy.ts";
import { test } from "../support/harness.ts";

type Env = Record<string, string | undefined>;

const HTTP = "http://example.com/";
const HTTPS = "https://example.com/";

/** Rows: name, the variables, the URL, the proxy. */
const rows: [string, Env, string, string | undefined][] = [
  ["no variable", {}, HTTP, undefined],
  ["http_proxy", { http_proxy: "http://p:1" }, HTTP, "http://p:1"],
  ["HTTP_PROXY, which CGI sets", { HTTP_PROXY: "http://p:1" }, HTTP, undefined],
  [
    "HTTP_PROXY beside ALL_PROXY",
    { HTTP_PROXY: "http://p:1", ALL_PROXY: "http://p:2" },
    HTTP,
    "http://p:2",
  ],
  ["http_proxy", { http_proxy: "http://p:1" }, HTTPS, undefined],
  ["https_proxy", { https_proxy: "http://p:1" }, HTTPS, "http://p:1"],
  ["HTTPS_PROXY", { HTTPS_PROXY: "http://p:1" }, HTTPS, "http://p:1"],
  [
    "https_proxy before HTTPS_PROXY",
    { https_proxy: "http://p:1", HTTPS_PROXY: "http://p:2" },
    HTTPS,
    "http://p:1",
  ],
  [
    "https_proxy before all_proxy",
    { all_proxy: "http://p:2", https_proxy: "http://p:1" },
    HTTPS,
    "http://p:1",
  ],
  [
    "HTTPS_PROXY before all_proxy",
    { all_proxy: "http://p:2", HTTPS_PROXY: "http://p:1" },
    HTTPS,
    "http://p:1",
  ],
  [
    "all_proxy before ALL_PROXY",
    { all_proxy: "http://p:1", ALL_PROXY: "http://p:2" },
    HTTPS,
    "http://p:1",
  ],
  [
    "an empty variable as none",
    { https_proxy: "", HTTPS_PROXY: "", ALL_PROXY: "http://p:1" },
    HTTPS,
    "http://p:1",
  ],
  ["ftp_proxy", { ftp_proxy: "http://p:1" }, "ftp://h/", "http://p:1"],
  ["FTP_PROXY", { FTP_PROXY: "http://p:1" }, "ftp://h/", "http://p:1"],
  [
    "POSTGRES_PROXY",
    { POSTGRES_PROXY: "http://p:1" },
    "postgres://h:5432",
    "http://p:1",
  ],
  [
    "ALL_PROXY",
    { ALL_PROXY: "socks5h://p:1" },
    "tcp://h:5432",
    "socks5h://p:1",
  ],
  [
    "ws_proxy",
    { ws_proxy: "http://p:1", http_proxy: "http://p:2" },
    "ws://h/",
    "http://p:1",
  ],
  ["http_proxy", { http_proxy: "http://p:1" }, "ws://h/", "http://p:1"],
  [
    "a scheme that objects have as a member",
    { ALL_PROXY: "http://p:1" },
    "constructor://h",
    "http://p:1",
  ],
  [
    "HTTP_PROXY, which CGI sets",
    { HTTP_PROXY: "http://p:1" },
    "ws://h/",
    undefined,
  ],
  ["HTTPS_PROXY", { HTTPS_PROXY: "http://p:1" }, "wss://h/", "http://p:1"],
  ["a proxy without a scheme", { http_proxy: "p:3128" }, HTTP, "http://p:3128"],
  [
    "a login without a scheme",
    { http_proxy: "a:b@p:1" },
    HTTP,
    "http://a:b@p:1",
  ],
  ["a proxy without a port", { http_proxy: "http://p" }, HTTP, "http://p:1080"],
  [
    "a proxy without a port",
    { http_proxy: "http://p/" },
    HTTP,
    "http://p:1080/",
  ],
  [
    "a proxy with an empty port",
    { http_proxy: "http://p:" },
    HTTP,
    "http://p:1080",
  ],
  ["a name alone", { http_proxy: "p" }, HTTP, "http://p:1080"],
  [
    "a login and no port",
    { http_proxy: "http://a:1@p" },
    HTTP,
    "http://a:1@p:1080",
  ],
  [
    "an IPv6 address without a port",
    { http_proxy: "[::1]" },
    HTTP,
    "http://[::1]:1080",
  ],
  ["an IPv6 address", { http_proxy: "http://[::1]:2" }, HTTP, "http://[::1]:2"],
  ["port 80", { http_proxy: "http://p:80" }, HTTP, "http://p:80"],
  [
    "a SOCKS proxy without a port",
    { ALL_PROXY: "socks5://p" },
    HTTP,
    "socks5://p",
  ],
  ["socks:", { ALL_PROXY: "socks://p:1" }, HTTP, "socks://p:1"],
];

for (const [name, env, url, proxy] of rows) {
  test(`proxyFromEnv() returns ${proxy} for ${url} with ${name}`, () => {
    assertEquals(proxyFromEnv(env, url), proxy);
    assertEquals(proxyFromEnv(env, new URL(url)), proxy);
    if (proxy) resolveProxy(proxy);
  });
}

test("proxyFromEnv() returns URLs that mean the same proxy", () => {
  const port = (http_proxy: string) =>
    resolveProxy(proxyFromEnv({ http_proxy }, HTTP)!).port;
  assertEquals(["p", "http://p:80", "socks5://p", "p:3128"].map(port), [
    1080,
    80,
    1080,
    3128,
  ]);
});

/** Rows: the list, the host and port of the URL, and whether it is excluded. */
const exclusions: [list: string, target: string, isExcluded: boolean][] = [
  ["*", "example.com", true],
  [" * ", "[::1]", true],
  ["example.com", "example.com", true],
  ["example.com", "EXAMPLE.com.", true],
  ["Example.COM.", "example.com", true],
  ["example.com", "www.example.com", true],
  [".example.com", "www.example.com", true],
  [".example.com", "example.com", true],
  ["example.com", "notexample.com", false],
  ["www.example.com", "example.com", false],
  ["a.test,example.com", "example.com", true],
  ["a.test, example.com ,b.test", "example.com", true],
  ["a.test example.com", "example.com", true],
  [",,example.com", "example.com", true],
  ["a.test,*", "example.com", false],
  ["*.example.com", "www.example.com", false],
  ["com", "example.com", true],
  ["", "example.com", false],
  [".", "example.com", false],
  ["localhost", "localhost", true],
  ["localhost", "127.0.0.1", false],
  ["example.com:443", "example.com", true],
  ["example.com:8443", "example.com", false],
  ["example.com:8443", "www.example.com:8443", true],
  ["example.com:", "example.com", false],
  ["example.com:x", "example.com", false],
  ["192.0.2.1", "192.0.2.1", true],
  ["192.0.2.1:443", "192.0.2.1", true],
  ["192.0.2.1:444", "192.0.2.1", false],
  ["192.0.2.1", "192.0.2.10", false],
  ["2.1", "192.0.2.1", false],
  ["192.0.2.0/24", "192.0.2.77", true],
  ["192.0.2.99/24", "192.0.2.77", true],
  ["192.0.2.0/24", "192.0.3.77", false],
  ["192.0.2.0/24:443", "192.0.2.77", true],
  ["192.0.2.0/33", "192.0.2.0", false],
  ["192.0.2.0/", "192.0.2.0", false],
  ["192.0.2.0/x", "192.0.2.0", false],
  ["192.0.2/24", "192.0.2.1", false],
  ["0xc0.0.2.1", "192.0.2.1", false],
  ["192.0.2.1", "0xc0.0.2.1", true],
  ["192.0.2.0/24", "[::ffff:192.0.2.1]", false],
  ["192.0.2.0/24", "example.com", false],
  ["2001:db8::1", "[2001:db8:0::1]", true],
  ["[2001:db8::1]", "[2001:db8::1]", true],
  ["[2001:db8::1]:443", "[2001:db8::1]", true],
  ["[2001:db8::1]:444", "[2001:db8::1]", false],
  ["2001:db8::/32", "[2001:db8:1::1]", true],
  ["2001:db8::/32", "[2001:db9::1]", false],
  ["::/0", "192.0.2.1", false],
];

for (const [list, target, isExcluded] of exclusions) {
  test(`proxyFromEnv() ${isExcluded ? "excludes" : "does not exclude"} ${target} with NO_PROXY=${list}`, () => {
    const env = { ALL_PROXY: "http://p:1" };
    const expected = isExcluded ? undefined : "http://p:1";
    const url = `https://${target}/`;
    assertEquals(proxyFromEnv({ ...env, NO_PROXY: list }, url), expected);
    assertEquals(proxyFromEnv({ ...env, no_proxy: list }, url), expected);
  });
}

test("proxyFromEnv() prefers no_proxy to NO_PROXY unless it is empty", () => {
  const env = { ALL_PROXY: "http://p:1", NO_PROXY: "example.com" };
  assertEquals(
    proxyFromEnv({ ...env, no_proxy: "a.test" }, HTTP),
    "http://p:1",
  );
  assertEquals(proxyFromEnv({ ...env, no_proxy: "" }, HTTP), undefined);
});

test("proxyFromEnv() throws for a variable that is no proxy's URL, and shows no password", () => {
  const values = [
    "sock5://al:hunter2@p:1",
    "ftp://al:hunter2@p:1",
    "http://al:hunter2@p:x",
    "http://al:hunter2@",
    "http://al:hunter2@p:1/path",
    "al:hunter2@p:99999",
    "socks5:p:1",
    "direct://",
    " ",
    "http:// p",
  ];
  for (const value of values) {
    for (
      const name of ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
    ) {
      const error = assertThrows(
        () => proxyFromEnv({ [name]: value }, HTTPS),
        TypeError,
        `${name}: `,
      );
      assert(!inspect(error).includes("hunter2"), error.message);
    }
  }
});

test("proxyFromEnv() throws a TypeError for arguments that would always mean a direct connection", () => {
  const env = { ALL_PROXY: "http://p:1" };
  const urls = [
    "example.com:443",
    "example.com",
    "",
    "file:///x",
    "http://al:hunter2@:1",
  ];
  for (const url of urls) {
    const error = assertThrows(() => proxyFromEnv(env, url), TypeError);
    assert(!inspect(error).includes("hunter2"), error.message);
  }
  const envs = [undefined, null, "ALL_PROXY=http://p:1", new Map(), {
    get: () => "x",
  }];
  for (const wrong of envs) {
    assertThrows(
      () => proxyFromEnv(wrong as never, HTTP),
      TypeError,
      "env must",
    );
  }
});
