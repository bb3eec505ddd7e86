/**
 * Makes an unmodified program reach everything through the proxy in `ALL_PROXY`, and stops
 * it from starting if that cannot be used.
 *
 * ```sh
 * export ALL_PROXY=socks5h://alice:secret@proxy.example:1080
 * node --import @x/socks5/register app.js
 * bun --preload @x/socks5/register app.js
 * deno run --preload=npm:@x/socks5/register app.js
 * ```
 *
 * All TCP connections go through the proxy, also those to loopback, except to the targets in
 * `NO_PROXY`. The scheme of the proxy decides who resolves names. A connection may take 30 s.
 * `HTTP_PROXY` and `HTTPS_PROXY` are not read: in the process they lead to the same proxy, for
 * libraries that use them. For direct connections set `NO_PROXY=*`; without that, `ALL_PROXY`
 * has to be set.
 *
 * Workers are included, and child processes that run the same runtime, Node.js or Bun. What
 * cannot be sent through the proxy fails with code `EACCES`: UDP, `Bun.connect()`, `Bun.sql`
 * and `Bun.redis`, and on Deno a `deno` that is started without the subcommand `run`. Standard
 * error lists at the start what this runtime does not allow to cover, such as names that the
 * program resolves itself. With Bun, a `fetch` of an `http:` URL that the proxy cannot reach
 * gets status 502 or 504. Deno needs `--allow-env` and `--allow-net`.
 *
 * There is nothing to import from this module.
 *
 * @module
 */

import process from "node:process";
import { hasLogin, isOverTls } from "../../client/proxy.ts";
import { type Endpoint, formatEndpoint, isIp } from "../../protocol/address.ts";
import { Route } from "../socket/route.ts";
import { patchBun } from "./bun.ts";
import { includeChildren } from "./children.ts";
import { refuseDatagrams } from "./datagrams.ts";
import { patchDeno } from "./deno.ts";
import { keepVariables } from "./environment.ts";
import { type Front, openFront } from "./front.ts";
import { patchSockets } from "./sockets.ts";
import { plainList, readWay, type Way } from "./way.ts";

const [isDeno, isBun] = ["Deno", "Bun"].map((it) => it in globalThis);

/** Runs once in a process or worker, however often the module is loaded. */
const INSTALLED = Symbol.for("@x/socks5/register");

function start(): void {
  if (INSTALLED in globalThis) return;
  Object.defineProperty(globalThis, INSTALLED, { value: true });
  try {
    // The program cannot change its way later.
    const { all_proxy, ALL_PROXY, no_proxy, NO_PROXY } = process.env;
    const way = readWay({ all_proxy, ALL_PROXY, no_proxy, NO_PROXY });
    if (way) install(way);
  } catch (error) {
    console.error(`socks5 register: ${(error as Error).message}`);
    process.exit(1);
  }
}

function install(way: Way): void {
  const own = new Route(way.url);
  const front = openFront(way, own);
  const throughFront = () => new Route(front.url("socks5h")!);
  const directions = {
    route: isOverTls(way.proxy) ? front.opened.then(throughFront) : own,
    isDirect: (it: Endpoint) => way.isDirect(it) || front.isAt(it),
  };
  patchSockets(directions);
  refuseDatagrams(directions);
  useForHttp(front);
  if (isBun) patchBun(front.url("http")!, directions);
  if (isDeno) {
    patchDeno(directions, front);
    const url = isKnownToDeno(way) ? plainUrl(way) : front.url("socks5h")!;
    setVariables("ALL_PROXY", url);
  }
  if ((isBun || isDeno) && way.noProxy) {
    setVariables("NO_PROXY", plainList(way.noProxy));
  }
  keepVariables();
  report(own);
  includeChildren(import.meta.url);
}

/** For what looks at the variables itself: `fetch` of Bun, and libraries such as axios. */
function useForHttp(front: Front): void {
  const set = () => {
    const url = front.url("http")!;
    for (const name of ["HTTP_PROXY", "HTTPS_PROXY"]) setVariables(name, url);
  };
  if (front.url("http")) set();
  else void front.opened.then(set);
}

/** Whether `fetch` of Deno knows such a proxy. */
function isKnownToDeno({ proxy: { protocol, hostname } }: Way): boolean {
  const isSocks = protocol === "socks5" || protocol === "socks5h";
  return isSocks && !(isIp(hostname) && hostname.includes(":"));
}

/** The URL with a port, which Deno requires, in the spelling that Deno has. */
function plainUrl({ proxy }: Way): string {
  const { protocol, username = "", password = "" } = proxy;
  const login = [username, password].map(encodeURIComponent).join(":");
  const at = hasLogin(proxy) ? `${login}@` : "";
  return `${protocol}://${at}${formatEndpoint(proxy)}`;
}

/** That of the process; the program may get another object. */
const { env } = process;

/** In both cases of letters, because the runtimes differ in which one counts. */
function setVariables(name: string, value: string): void {
  env[name.toLowerCase()] = env[name] = value;
}

/** Once, and not in the workers and children. */
function report(route: Route): void {
  if (process.env.SOCKS5_REGISTERED) return;
  process.env.SOCKS5_REGISTERED = "1";
  const gaps = [
    "names that the program resolves itself (node:dns)",
    "native add-ons",
    import.meta.url.startsWith("file:")
      ? "child processes that are neither Node.js nor Bun"
      : "child processes",
    ...isBun ? ["the option proxy of Bun.fetch, writes to Bun.env"] : [],
    ...isDeno
      ? [
        "deno task, and scripts of shells that run deno",
        "Deno.resolveDns",
        "the look-up of names by EventSource, WebSocketStream and imports of URLs, which go " +
        "through the proxy after it",
      ]
      : [],
  ];
  console.error(
    `socks5 register: TCP goes through ${route}, UDP nowhere. ` +
      `Not covered: ${gaps.join(", ")}.`,
  );
}

start();
