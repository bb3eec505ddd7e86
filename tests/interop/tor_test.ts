/** Tor's look-ups by its own clients, and by our client with our server on every runtime. */

import "./server_program.ts";
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { resolve, reverse } from "../../src/client/mod.ts";
import { rules, type ServeOptions } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { NetError } from "../../src/transport/errors.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { test } from "../support/harness.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { missing, type Output, run } from "./programs.ts";
import { ownKinds } from "./proxies.ts";
import { startHttp } from "./targets.ts";

/** torsocks refuses to connect to loopback, so that the target has another address for it. */
const WEB = { name: "web.test", address: "192.0.2.80" };

/** A network in which {@linkcode WEB} is this machine; it resolves no other name. */
async function withWeb(): Promise<Transport> {
  const native = await detectTransport();
  return {
    ...native,
    lookup: (hostname) =>
      hostname === WEB.name
        ? Promise.resolve(["2001:db8::80", WEB.address])
        : Promise.reject(new NetError("dns", `no such name: ${hostname}`)),
    reverse: () => Promise.resolve(WEB.name),
    connect: (options) =>
      options.hostname === WEB.address
        ? native.connect({ ...options, hostname: "127.0.0.1" })
        : Promise.reject(new NetError("net-unreachable")),
  };
}

async function withServer(
  options: ServeOptions,
  use: (server: TestServer, port: number) => Promise<void>,
): Promise<void> {
  const server = await startServer(options);
  try {
    await use(server, server.server.addr.port);
  } finally {
    await server.close();
  }
}

/** A row: arguments of tor-resolve, its output, and the version and the command of the session. */
const lookUps: readonly (readonly [string[], string, 4 | 5, string])[] = [
  [["-4", WEB.name], WEB.address, 4, "resolve"],
  [["-5", WEB.name], WEB.address, 5, "resolve"],
  [["-5", "-x", WEB.address], WEB.name, 5, "resolve-ptr"],
];

for (const [args, answer, version, command] of lookUps) {
  test(
    `serve() answers tor-resolve ${args.join(" ")}`,
    async () => {
      const transport = await withWeb();
      await withServer({ transport, resolve: true }, async (server, port) => {
        const { code, stdout } = await torResolve(port, ...args);
        assertEquals([code, stdout], [0, `${answer}\n`]);
        const { session, reason } = await server.ended();
        assertEquals(reason, "finished");
        assertEquals([session.version, session.command], [version, command]);
      });
    },
    { skip: missing("tor-resolve") },
  );
}

test(
  "serve() answers tor-resolve by the system's resolver",
  () =>
    withServer({ resolve: true }, async (_, port) => {
      const { code, stdout } = await torResolve(port, "localhost");
      assertEquals([code, stdout], [0, "127.0.0.1\n"]);
    }),
  { skip: missing("tor-resolve") },
);

/** A row: name, options of the server, name to resolve, the error that tor-resolve prints. */
const failures: readonly (readonly [string, ServeOptions, string, string])[] = [
  ["a name without an address", { resolve: true }, "no.test", "'4'"],
  [
    "a name that a rule denies",
    { resolve: true, policy: rules([`deny resolve ${WEB.name}`]) },
    WEB.name,
    "'2'",
  ],
  ["a server without the option", {}, WEB.name, "'7'"],
];

for (const [name, options, hostname, shown] of failures) {
  test(
    `tor-resolve fails with ${name}`,
    async () => {
      const transport = await withWeb();
      await withServer({ ...options, transport }, async (_, port) => {
        const { code, stderr, stdout } = await torResolve(port, hostname);
        assertEquals(code, 1);
        assertStringIncludes(stdout + stderr, shown);
      });
    },
    { skip: missing("tor-resolve") },
  );
}

function torResolve(port: number, ...args: string[]): Promise<Output> {
  return run("tor-resolve", [...args, `127.0.0.1:${port}`]);
}

test(
  "serve() resolves names for torsocks curl, and connects it",
  async () => {
    const http = await startHttp();
    const transport = await withWeb();
    await withServer({ transport, resolve: true }, async (server, port) => {
      const url = `http://${WEB.name}:${http.port}/`;
      const curl = ["curl", "-q", "--silent", "--show-error", url];
      const tor = ["-a", "127.0.0.1", "-P", `${port}`];
      const { code, stdout, stderr } = await run("torsocks", [...tor, ...curl]);
      assertEquals([stderr, code, stdout], ["", 0, "hello"]);
      const ends = [await server.ended(), await server.ended()];
      assertEquals(
        ends.map(({ session }) => [session.command, session.target]),
        [
          ["resolve", {
            hostname: WEB.name,
            port: ends[0].session.target!.port,
          }],
          ["connect", { hostname: WEB.address, port: http.port }],
        ],
      );
    });
    await http.close();
  },
  { skip: missing("torsocks", "curl") },
);

for (const kind of ownKinds) {
  test(
    `resolve() and reverse() get answers from ${kind.name}`,
    () =>
      kind.run(async (port) => {
        for (const protocol of kind.protocols) {
          if (protocol === "socks4") continue;
          const proxy = { protocol, hostname: "127.0.0.1", port };
          assertEquals(await resolve(proxy, "localhost"), "127.0.0.1");
          if (protocol === "socks4a") continue;
          assertMatch(await reverse(proxy, "127.0.0.1"), /^[a-z][a-z\d.-]*$/);
        }
      }),
    { skip: kind.skip },
  );
}
