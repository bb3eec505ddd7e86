/** `proxyFromEnv()` beside curl: both have to choose the same proxy. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseProxyUrl, proxyFromEnv } from "../../src/client/mod.ts";
import { test } from "../support/harness.ts";
import { missing, run } from "./programs.ts";
import { startTarget, type Target } from "./targets.ts";

type Env = Record<string, string>;

const ALL = { ALL_PROXY: "http://PROXY1" };
const HTTP = "http://example.test/";
const HTTPS = "https://example.test/";

/** A row: the variables with PROXY1 and PROXY2 as addresses, and the URL. */
const cases: readonly (readonly [Env, string])[] = [
  [{}, HTTP],
  [{ http_proxy: "http://PROXY1" }, HTTP],
  [{ http_proxy: "http://PROXY1" }, HTTPS],
  [{ HTTP_PROXY: "http://PROXY1" }, HTTP],
  [{ HTTP_PROXY: "http://PROXY1", ALL_PROXY: "http://PROXY2" }, HTTP],
  [{ https_proxy: "http://PROXY1", HTTPS_PROXY: "http://PROXY2" }, HTTPS],
  [{ HTTPS_PROXY: "http://PROXY1", all_proxy: "http://PROXY2" }, HTTPS],
  [{ HTTPS_PROXY: "http://PROXY1" }, HTTP],
  [{ all_proxy: "http://PROXY1", ALL_PROXY: "http://PROXY2" }, HTTP],
  [{ https_proxy: "", HTTPS_PROXY: "", ALL_PROXY: "http://PROXY1" }, HTTPS],
  [{ http_proxy: "PROXY1" }, HTTP],
  [{ http_proxy: "al:pw@PROXY1" }, HTTP],
  [{ http_proxy: "http://al:pw@PROXY1/" }, HTTP],
  [{ all_proxy: "socks4://PROXY1" }, "http://127.0.0.9/"],
  [{ all_proxy: "socks4a://PROXY1" }, HTTP],
  [{ all_proxy: "socks5://PROXY1" }, "http://127.0.0.9/"],
  [{ ALL_PROXY: "socks5h://PROXY1" }, HTTPS],
  [{ ALL_PROXY: "SOCKS5H://PROXY1" }, HTTPS],
  [{ ALL_PROXY: "socks://PROXY1" }, "http://127.0.0.9/"],
  [{ ftp_proxy: "http://PROXY1" }, "ftp://example.test/"],
  [{ FTP_PROXY: "http://PROXY1" }, "ftp://example.test/"],
  [{ ...ALL, no_proxy: "*" }, HTTP],
  [{ ...ALL, NO_PROXY: "example.test" }, HTTP],
  [{ ...ALL, NO_PROXY: "example.test" }, "http://www.example.test/"],
  [{ ...ALL, NO_PROXY: "example.test" }, "http://notexample.test/"],
  [{ ...ALL, NO_PROXY: "EXAMPLE.test" }, "http://example.TEST/"],
  [{ ...ALL, NO_PROXY: ".example.test" }, HTTP],
  [{ ...ALL, NO_PROXY: ".example.test" }, "http://www.example.test/"],
  [{ ...ALL, NO_PROXY: "www.example.test" }, HTTP],
  [{ ...ALL, NO_PROXY: "example.test." }, HTTP],
  [{ ...ALL, NO_PROXY: "example.test" }, "http://example.test./"],
  [{ ...ALL, NO_PROXY: "*.example.test" }, "http://www.example.test/"],
  [{ ...ALL, NO_PROXY: "a.test,*" }, HTTP],
  [{ ...ALL, NO_PROXY: "a.test,example.test" }, HTTP],
  [{ ...ALL, NO_PROXY: "a.test , example.test" }, HTTP],
  [{ ...ALL, NO_PROXY: ",,example.test," }, HTTP],
  [{ ...ALL, NO_PROXY: "a.test" }, HTTP],
  [{ ...ALL, NO_PROXY: "example.test", no_proxy: "a.test" }, HTTP],
  [{ ...ALL, NO_PROXY: "example.test", no_proxy: "" }, HTTP],
  [{ ...ALL, NO_PROXY: "192.0.2.1" }, "http://192.0.2.1/"],
  [{ ...ALL, NO_PROXY: "192.0.2.1" }, "http://192.0.2.10/"],
  [{ ...ALL, NO_PROXY: "2.1" }, "http://192.0.2.1/"],
  [{ ...ALL, NO_PROXY: "192.0.2.0/24" }, "http://192.0.2.77/"],
  [{ ...ALL, NO_PROXY: "192.0.2.99/24" }, "http://192.0.2.77/"],
  [{ ...ALL, NO_PROXY: "192.0.2.0/24" }, "http://192.0.3.77/"],
  [{ ...ALL, NO_PROXY: "192.0.2.0/33" }, "http://192.0.2.0/"],
  [{ ...ALL, NO_PROXY: "2001:db8::1" }, "http://[2001:db8:0::1]/"],
  // curl 7.88 ignores prefixes of IPv6 addresses.
  [{ ...ALL, NO_PROXY: "2001:db8::/32" }, "http://[2001:db9::1]/"],
  [{ ...ALL, NO_PROXY: "192.0.2.0/24" }, HTTP],
];

/** Returns which of the listeners curl connects to, and its error messages. */
async function curl(env: Env, url: string, listeners: readonly Target[]) {
  const direct = listeners[0];
  const before = listeners.map((it) => it.connections);
  const { stderr } = await run("curl", [
    ...["-q", "--silent", "--show-error", "--globoff", "--max-time", "20"],
    ...["--connect-to", `::127.0.0.1:${direct.port}`],
    url,
  ], { env });
  const used = listeners.findIndex((it, i) => it.connections > before[i]);
  return { used, stderr };
}

async function withListeners(
  use: (listeners: readonly Target[]) => Promise<void>,
): Promise<void> {
  const start = () => startTarget((socket) => socket.destroy());
  const listeners = [await start(), await start(), await start()];
  try {
    await use(listeners);
  } finally {
    for (const listener of listeners) await listener.close();
  }
}

function withPorts(env: Env, listeners: readonly Target[]): Env {
  const replace = (value: string) =>
    value.replace(/PROXY(\d)/, (_, i) => `127.0.0.1:${listeners[i].port}`);
  return Object.fromEntries(
    Object.entries(env).map(([name, value]) => [name, replace(value)]),
  );
}

const skip = missing("curl");

test(
  `proxyFromEnv() chooses the proxy that curl chooses in ${cases.length} cases`,
  () =>
    withListeners(async (listeners) => {
      const counts = [0, 0, 0];
      for (const [variables, url] of cases) {
        const env = withPorts(variables, listeners);
        const { used, stderr } = await curl(env, url, listeners);
        const proxy = proxyFromEnv(env, url);
        const port = proxy ? parseProxyUrl(proxy).port : listeners[0].port;
        const chosen = listeners.findIndex((it) => it.port === port);
        const text = `${JSON.stringify(variables)} ${url}: ${stderr}`;
        assertEquals(chosen, used, text);
        counts[used]++;
      }
      assert(counts.every((it) => it > 0), `${counts}`);
    }),
  { skip },
);

test(
  "proxyFromEnv() throws where curl refuses the proxy and connects to nothing",
  () =>
    withListeners(async (listeners) => {
      const values = ["sock5://PROXY1", "ftp://PROXY1", "http://PROXY1x"];
      for (const value of values) {
        const env = withPorts({ ALL_PROXY: value }, listeners);
        const { used, stderr } = await curl(env, HTTP, listeners);
        assertEquals(used, -1, `${value}: ${stderr}`);
        assertThrows(() => proxyFromEnv(env, HTTP), TypeError, "ALL_PROXY: ");
      }
    }),
  { skip },
);

test(
  "proxyFromEnv() assumes the port that curl assumes",
  () =>
    withListeners(async (listeners) => {
      for (
        const http_proxy of [
          "http://127.0.0.2",
          "127.0.0.2",
          "socks5h://127.0.0.2",
        ]
      ) {
        const env = { http_proxy };
        const { used, stderr } = await curl(env, HTTP, listeners);
        assertEquals(used, -1, stderr);
        const { hostname, port } = parseProxyUrl(proxyFromEnv(env, HTTP)!);
        assert(stderr.includes(`${hostname} port ${port}`), stderr);
      }
    }),
  { skip },
);
