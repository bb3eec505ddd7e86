/** curl, ncat, socat and ssh through the HTTP front end of the server. */

import { Buffer } from "node:buffer";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { createHash } from "node:crypto";
import { type ServeOptions, userPass } from "../../src/server/mod.ts";
import { test } from "../support/harness.ts";
import { closedPort, startServer, type TestServer } from "../support/server.ts";
import { assertSameOctets } from "../transport/contract.ts";
import { missing, type Output, run, type RunOptions } from "./programs.ts";
import { withServer } from "./server.ts";
import { withSshd } from "./sshd.ts";
import {
  answerAtEnd,
  answerTo,
  block,
  blocks,
  checksum,
  echo,
  MIB,
  startHttp,
  type Target,
} from "./targets.ts";

const HTTP: ServeOptions = { http: true };
const LOGIN: ServeOptions = {
  ...HTTP,
  auth: [userPass({ alice: "p@ss: word", "ü": "ß", bob: "pw" })],
};

const skipCurl = missing("curl");

/** Runs curl; `%{http_connect}` is the last line of its standard output. */
function curl(args: string[], options?: RunOptions): Promise<Output> {
  const quiet = ["-q", "--silent", "--show-error", "--noproxy", ""];
  return run("curl", [...quiet, "--globoff", ...args], options);
}

const TUNNEL = ["--proxytunnel", "--write-out", "\n%{http_connect}"];

/** Runs `use` with the address of a server in curl's notation, and a web server. */
async function withWeb(
  options: ServeOptions,
  use: (proxy: string, web: Target, server: TestServer) => Promise<void>,
): Promise<void> {
  const web = await startHttp();
  const server = await startServer(options);
  const { hostname, port } = server.server.addr;
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  try {
    await use(`http://${host}:${port}`, web, server);
  } finally {
    await server.close();
    await web.close();
  }
}

/** A row: curl's option, the server's address, the target in the URL and in the request. */
const targets: readonly (readonly [string, string, string, string])[] = [
  ["--proxy", "127.0.0.1", "127.0.0.1", "127.0.0.1"],
  ["--proxy", "127.0.0.1", "[::1]", "::1"],
  ["--proxy", "127.0.0.1", "localhost", "localhost"],
  ["--proxy", "::1", "localhost", "localhost"],
  ["--proxy1.0", "127.0.0.1", "localhost", "localhost"],
];

for (const [option, hostname, target, requested] of targets) {
  test(
    `serve() with http on ${hostname} connects curl ${option} to ${target}`,
    () =>
      withWeb({ ...HTTP, hostname }, async (proxy, web, server) => {
        const address = option === "--proxy" ? proxy : proxy.slice(7);
        const url = `http://${target}:${web.port}/`;
        const { code, stdout, stderr } = await curl(
          [...TUNNEL, option, address, url],
        );
        assertEquals([stderr, code, stdout], ["", 0, "hello\n200"]);
        const { session, reason } = await server.ended();
        assertEquals([session.protocol, reason], ["http", "finished"]);
        assertEquals(session.target, { hostname: requested, port: web.port });
      }),
    { skip: skipCurl },
  );
}

/** A row: name, curl's arguments with PROXY as the address, and whether the login is accepted. */
const logins: readonly (readonly [string, string[], boolean])[] = [
  ["--proxy-user", ["-U", "alice:p@ss: word", "-x", "http://PROXY"], true],
  ["a URL's login", ["-x", "http://alice:p%40ss%3A%20word@PROXY"], true],
  ["a login in UTF-8", ["-U", "ü:ß", "-x", "http://PROXY"], true],
  [
    "a login that it sends only when it is asked for one",
    ["--proxy-anyauth", "-U", "ü:ß", "-x", "http://PROXY"],
    true,
  ],
  ["a wrong password", ["-x", "http://alice:secret@PROXY"], false],
  ["a wrong user", ["-x", "http://carol:p%40ss%3A%20word@PROXY"], false],
  ["an empty password", ["-U", "alice:", "-x", "http://PROXY"], false],
  ["no login", ["-x", "http://PROXY"], false],
];

for (const [name, args, isAccepted] of logins) {
  test(
    `serve() with http ${isAccepted ? "accepts" : "refuses"} curl with ${name}`,
    () =>
      withWeb(LOGIN, async (proxy, web) => {
        const { code, stdout } = await curl([
          ...TUNNEL,
          ...args.map((it) => it.replace("PROXY", proxy.slice(7))),
          `http://127.0.0.1:${web.port}/`,
        ]);
        const expected = isAccepted ? [0, "hello\n200"] : [56, "\n407"];
        assertEquals([code, stdout], expected);
        assertEquals(web.connections, isAccepted ? 1 : 0);
      }),
    { skip: skipCurl },
  );
}

test(
  "serve() with http sends a status that curl reports when the target refuses",
  () =>
    withWeb(HTTP, async (proxy, _, server) => {
      const url = `http://127.0.0.1:${await closedPort()}/`;
      const { code, stdout, stderr } = await curl([
        ...TUNNEL,
        "-x",
        proxy,
        url,
      ]);
      assertEquals([code, stdout], [56, "\n502"]);
      assertStringIncludes(stderr, "502");
      assertEquals((await server.ended()).reason, "refused");
    }),
  { skip: skipCurl },
);

test(
  "serve() with http carries 50 MiB each way by curl",
  () =>
    withWeb(HTTP, async (proxy, web, server) => {
      const url = `http://127.0.0.1:${web.port}/`;
      const hash = createHash("sha256");
      const down = await curl(
        ["--proxytunnel", "-x", proxy, `${url}50`],
        { onStdout: (chunk) => hash.update(chunk) },
      );
      assertEquals([down.code, down.stderr], [0, ""]);
      assertEquals(hash.digest("hex"), checksum(50));
      const { session } = await server.ended();
      assert(session.received > 50 * MIB, `${session.received}`);
      const up = await curl(
        ["--proxytunnel", "-x", proxy, "-T", "-", url],
        { stdin: blocks(50) },
      );
      assertEquals([up.code, up.stderr, up.stdout], [0, "", checksum(50)]);
    }),
  { skip: skipCurl },
);

for (const hostname of ["127.0.0.1", "::1", "localhost"]) {
  test(
    `serve() with http delivers the whole answer of ${hostname} that follows the FIN of ncat`,
    () =>
      withServer(HTTP, answerAtEnd, async (port, target, server) => {
        const octets = Buffer.concat([block(0), block(1), block(2)]);
        const proxy = ["--proxy", `127.0.0.1:${port}`, "--proxy-type", "http"];
        const { code, octets: answer } = await run(
          "ncat",
          [...proxy, "--proxy-dns", "remote", hostname, `${target.port}`],
          { stdin: octets },
        );
        assertEquals(code, 0);
        assertSameOctets(answer, answerTo(octets));
        const { session, reason } = await server.ended();
        assertEquals([session.protocol, reason], ["http", "finished"]);
        assertEquals(session.target, { hostname, port: target.port });
      }),
    { skip: missing("ncat") },
  );
}

for (const password of ["p@ss: word", "wrong"]) {
  const isCorrect = password !== "wrong";
  test(
    `serve() with http ${
      isCorrect ? "accepts" : "refuses"
    } ncat --proxy-auth with the password ${password}`,
    () =>
      withServer(LOGIN, echo, async (port, target) => {
        const { code, stdout } = await run("ncat", [
          ...["--proxy", `127.0.0.1:${port}`, "--proxy-type", "http"],
          ...["--proxy-auth", `alice:${password}`],
          ...["127.0.0.1", `${target.port}`],
        ], { stdin: "hello" });
        assertEquals([code, stdout], isCorrect ? [0, "hello"] : [1, ""]);
        assertEquals(target.connections, isCorrect ? 1 : 0);
      }),
    { skip: missing("ncat") },
  );
}

/** A row: what socat sends as the login, and whether it is accepted. */
const socatLogins: readonly (readonly [string, boolean])[] = [
  [",proxyauth=bob:pw", true],
  [",proxyauth=bob:px", false],
  ["", false],
];

for (const [login, isAccepted] of socatLogins) {
  test(
    `serve() with http ${
      isAccepted ? "accepts" : "refuses"
    } socat PROXY with "${login}"`,
    () =>
      withServer(LOGIN, answerAtEnd, async (port, target) => {
        const octets = Buffer.concat([block(0), block(1)]);
        const addr = `127.0.0.1:localhost:${target.port},proxyport=${port}`;
        const { code, octets: got } = await run(
          "socat",
          ["-t", "20", "-", `PROXY:${addr}${login}`],
          { stdin: octets },
        );
        assertEquals(code, isAccepted ? 0 : 1);
        const expected = isAccepted ? answerTo(octets) : new Uint8Array(0);
        assertSameOctets(got, expected);
        assertEquals(target.connections, isAccepted ? 1 : 0);
      }),
    { skip: missing("socat") },
  );
}

test(
  "serve() with http carries a command and 10 MiB both ways for ssh with ncat",
  () =>
    withSshd(async ({ ssh }) => {
      const server = await startServer(HTTP);
      const proxy = `127.0.0.1:${server.server.addr.port}`;
      const command = `ncat --proxy ${proxy} --proxy-type http %h %p`;
      const args = ["-o", `ProxyCommand=${command}`, ...ssh];
      try {
        const hash = createHash("sha256");
        const { code, stderr } = await run("ssh", [...args, "cat"], {
          stdin: blocks(10),
          onStdout: (chunk) => hash.update(chunk),
        });
        assertEquals([stderr, code], ["", 0]);
        assertEquals(hash.digest("hex"), checksum(10));
        const { session } = await server.ended();
        assertEquals(session.protocol, "http");
        assert(session.received > 10 * MIB, `${session.received}`);
      } finally {
        await server.close();
      }
    }),
  { skip: missing("ssh", "sshd", "ssh-keygen", "ncat") },
);
