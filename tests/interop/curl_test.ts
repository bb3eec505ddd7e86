/** curl through the server. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { createHash } from "node:crypto";
import { type ServeOptions, userPass } from "../../src/server/mod.ts";
import { test } from "../support/harness.ts";
import { closedPort, startServer, type TestServer } from "../support/server.ts";
import { missing, type Output, run, type RunOptions } from "./programs.ts";
import { blocks, checksum, startHttp, type Target } from "./targets.ts";

const skip = missing("curl");

function curl(args: string[], options?: RunOptions): Promise<Output> {
  const quiet = ["-q", "--silent", "--show-error", "--noproxy", ""];
  return run("curl", [...quiet, "--globoff", ...args], options);
}

/** Runs `use` with a server, its address in curl's notation, and a web server. */
async function withServer(
  options: ServeOptions,
  use: (proxy: string, http: Target, server: TestServer) => Promise<void>,
): Promise<void> {
  const http = await startHttp();
  const server = await startServer(options);
  const { hostname, port } = server.server.addr;
  const proxy = hostname.includes(":") ? `[${hostname}]` : hostname;
  try {
    await use(`${proxy}:${port}`, http, server);
  } finally {
    await server.close();
    await http.close();
  }
}

/**
 * A row: curl's option, the server's address, the target in the URL, and the targets
 * that curl may request from the server.
 */
const cases: readonly (readonly [string, string, string, ...string[]])[] = [
  ["--socks4", "127.0.0.1", "127.0.0.1", "127.0.0.1"],
  ["--socks4", "::1", "127.0.0.1", "127.0.0.1"],
  ["--socks4", "127.0.0.1", "localhost", "127.0.0.1"],
  ["--socks4a", "127.0.0.1", "127.0.0.1", "127.0.0.1"],
  ["--socks4a", "127.0.0.1", "localhost", "localhost"],
  ["--socks5", "127.0.0.1", "127.0.0.1", "127.0.0.1"],
  ["--socks5", "127.0.0.1", "[::1]", "::1"],
  ["--socks5", "::1", "127.0.0.1", "127.0.0.1"],
  ["--socks5", "::1", "[::1]", "::1"],
  ["--socks5", "127.0.0.1", "localhost", "127.0.0.1", "::1"],
  ["--socks5-hostname", "127.0.0.1", "127.0.0.1", "127.0.0.1"],
  ["--socks5-hostname", "127.0.0.1", "[::1]", "::1"],
  ["--socks5-hostname", "::1", "localhost", "localhost"],
];

for (const [option, hostname, target, ...requested] of cases) {
  test(
    `serve() on ${hostname} connects curl ${option} to ${target}`,
    () =>
      withServer({ hostname }, async (proxy, http, server) => {
        const url = `http://${target}:${http.port}/`;
        const { code, stdout, stderr } = await curl([option, proxy, url]);
        assertEquals([stderr, code, stdout], ["", 0, "hello"]);
        const { session, reason } = await server.ended();
        assertEquals(reason, "finished");
        assertEquals(session.version, option.includes("4") ? 4 : 5);
        assert(
          requested.includes(session.target!.hostname),
          String(requested),
        );
        assertEquals(session.target!.port, http.port);
      }),
    { skip },
  );
}

const alice = { auth: [userPass({ alice: "p@ss word", "ü": "ß" })] };

/** A row: name, curl's arguments with PROXY as the address, and whether the login is accepted. */
const logins: readonly (readonly [string, string[], boolean])[] = [
  ["--proxy-user", ["-U", "alice:p@ss word", "--socks5", "PROXY"], true],
  ["a URL's login", ["-x", "socks5h://alice:p%40ss%20word@PROXY"], true],
  ["a login in UTF-8", ["-U", "ü:ß", "--socks5-hostname", "PROXY"], true],
  ["a wrong password", ["-x", "socks5h://alice:secret@PROXY"], false],
  ["a wrong user", ["-x", "socks5://bob:p%40ss%20word@PROXY"], false],
  ["an empty password", ["-U", "alice:", "--socks5", "PROXY"], false],
  ["no login", ["--socks5", "PROXY"], false],
  ["SOCKS4", ["-U", "alice:p@ss word", "--socks4a", "PROXY"], false],
];

for (const [name, args, isAccepted] of logins) {
  test(
    `serve() ${isAccepted ? "accepts" : "refuses"} curl with ${name}`,
    () =>
      withServer(alice, async (proxy, http) => {
        const { code, stdout } = await curl([
          ...args.map((it) => it.replace("PROXY", proxy)),
          `http://127.0.0.1:${http.port}/`,
        ]);
        assertEquals([code, stdout], isAccepted ? [0, "hello"] : [97, ""]);
        assertEquals(http.connections, isAccepted ? 1 : 0);
      }),
    { skip },
  );
}

/** A row: curl's option, and a part of its message about a target that refuses. */
const refusals: readonly (readonly [string, string])[] = [
  ["--socks4", "(91), request rejected or failed"],
  ["--socks4a", "(91), request rejected or failed"],
  ["--socks5", ". (5)"],
  ["--socks5-hostname", ". (5)"],
];

for (const [option, message] of refusals) {
  test(
    `serve() sends a reply that curl ${option} reports when the target refuses`,
    () =>
      withServer({}, async (proxy, _, server) => {
        const url = `http://127.0.0.1:${await closedPort()}/`;
        const { code, stderr } = await curl([option, proxy, url]);
        assertEquals(code, 97);
        assertStringIncludes(stderr, message);
        assertEquals((await server.ended()).reason, "refused");
      }),
    { skip },
  );
}

test(
  "serve() carries a download of 200 MiB by curl",
  () =>
    withServer({}, async (proxy, http, server) => {
      const hash = createHash("sha256");
      const { code, stderr } = await curl(
        ["--socks5", proxy, `http://127.0.0.1:${http.port}/200`],
        { onStdout: (chunk) => hash.update(chunk) },
      );
      assertEquals([code, stderr], [0, ""]);
      assertEquals(hash.digest("hex"), checksum(200));
      const { session } = await server.ended();
      assert(session.received > 200 * 1024 * 1024, String(session.received));
    }),
  { skip },
);

test(
  "serve() carries an upload of 200 MiB by curl",
  () =>
    withServer({}, async (proxy, http, server) => {
      const { code, stdout, stderr } = await curl(
        ["--socks5", proxy, "-T", "-", `http://127.0.0.1:${http.port}/`],
        { stdin: blocks(200) },
      );
      assertEquals([code, stderr, stdout], [0, "", checksum(200)]);
      const { session } = await server.ended();
      assert(session.sent > 200 * 1024 * 1024, String(session.sent));
    }),
  { skip },
);

test(
  "serve() keeps 20 simultaneous downloads by curl apart",
  () =>
    withServer({}, async (proxy, http) => {
      const downloads = Array.from({ length: 20 }, async (_, i) => {
        const hash = createHash("sha256");
        const size = 1 + i % 4;
        const { code } = await curl(
          ["--socks5-hostname", proxy, `http://localhost:${http.port}/${size}`],
          { onStdout: (chunk) => hash.update(chunk) },
        );
        assertEquals([code, hash.digest("hex")], [0, checksum(size)]);
      });
      await Promise.all(downloads);
      assertEquals(http.connections, 20);
    }),
  { skip },
);
