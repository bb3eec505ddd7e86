/** curl, wget, apt, undici and Chromium send requests that the server forwards. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { rules, type ServeOptions, userPass } from "../../src/server/mod.ts";
import { test } from "../support/harness.ts";
import { closedPort, startServer, type TestServer } from "../support/server.ts";
import {
  missing,
  type Output,
  run,
  type RunOptions,
  until,
  withFolder,
  withListening,
} from "./programs.ts";
import {
  environment,
  executable,
  installed,
  missingRuntime,
} from "./runtimes.ts";
import { blocks, checksum, MIB, startHttp, type Target } from "./targets.ts";

const LOGIN: ServeOptions = {
  auth: [userPass({ alice: "p@ss: word", bob: "pw" })],
};

const skipCurl = missing("curl");

function curl(args: string[], options?: RunOptions): Promise<Output> {
  const quiet = ["-q", "--silent", "--show-error", "--noproxy", ""];
  return run("curl", [...quiet, "--globoff", ...args], options);
}

/** Runs `use` with the URL of a server, that of a web server, and both. */
async function withWeb(
  options: ServeOptions,
  use: (
    proxy: string,
    url: string,
    server: TestServer,
    web: Target,
  ) => Promise<void>,
): Promise<void> {
  const web = await startHttp();
  const server = await startServer({
    http: true,
    // Browsers also connect to servers of their own.
    policy: rules([`allow 127.0.0.1:${web.port}`, "deny *"]),
    ...options,
  });
  const proxy = `http://127.0.0.1:${server.server.addr.port}`;
  try {
    await use(proxy, `http://127.0.0.1:${web.port}/`, server, web);
  } finally {
    await server.close();
    await web.close();
  }
}

/** The commands and replies of the sessions that have ended. */
function repliesOf({ events }: TestServer): string[] {
  return events.flatMap((it) =>
    it.type === "session-end"
      ? [`${it.session.command} ${it.session.reply} ${it.reason}`]
      : []
  );
}

test(
  "serve() forwards several requests of curl on one connection",
  () =>
    withWeb({}, async (proxy, url, server, web) => {
      const write = ["-w", " %{num_connects} %{http_code}\n"];
      const { code, stdout, stderr } = await curl(
        ["-x", proxy, ...write, url, `${url}a`, `${url}b`],
      );
      assertEquals([stderr, code, stdout], [
        "",
        0,
        "hello 1 200\nhello 0 200\nhello 0 200\n",
      ]);
      for (let i = 0; i < 3; i++) await server.ended();
      assertEquals(
        repliesOf(server),
        Array(3).fill("forward 200 finished"),
      );
      assertEquals(web.connections, 3);
    }),
  { skip: skipCurl },
);

/** A row: name, curl's arguments, what it prints. */
const requests: readonly (readonly [string, string[], string])[] = [
  ["-I", ["-I", "-o", "/dev/null"], " 200"],
  ["-X POST", ["-X", "POST"], "hello 200"],
  ["--data", ["--data", "a=b"], "hello 200"],
  ["-X OPTIONS", ["-X", "OPTIONS"], "hello 200"],
  ["--http1.0", ["--http1.0"], "hello 200"],
  ["--proxy-header", ["--proxy-header", "Proxy-X: y"], "hello 200"],
  ["--compressed and a range", ["--compressed", "-r", "0-4"], "hello 200"],
  [
    "an expectation",
    ["-H", "Expect: 100-continue", "-T", "/dev/null"],
    `${createHash("sha256").digest("hex")} 200`,
  ],
];

for (const [name, args, expected] of requests) {
  test(
    `serve() forwards a request of curl with ${name}`,
    () =>
      withWeb({}, async (proxy, url) => {
        const write = ["-w", " %{http_code}"];
        const { code, stdout, stderr } = await curl(
          ["-x", proxy, ...write, ...args, url],
        );
        assertEquals([stderr, code, stdout], ["", 0, expected]);
      }),
    { skip: skipCurl },
  );
}

/** A row: name, curl's arguments with PROXY as the address, the status. */
const logins: readonly (readonly [string, string[], string])[] = [
  ["a login", ["-U", "alice:p@ss: word", "-x", "http://PROXY"], "200"],
  ["a URL's login", ["-x", "http://bob:pw@PROXY"], "200"],
  [
    "a login that it sends only when it is asked for one",
    ["--proxy-anyauth", "-U", "bob:pw", "-x", "http://PROXY"],
    "200",
  ],
  ["a wrong password", ["-x", "http://bob:px@PROXY"], "407"],
  ["no login", ["-x", "http://PROXY"], "407"],
];

for (const [name, args, status] of logins) {
  test(
    `serve() responds with ${status} to a request of curl with ${name}`,
    () =>
      withWeb(LOGIN, async (proxy, url, _, web) => {
        const { code, stdout } = await curl([
          ...["-o", "/dev/null", "-w", "%{http_code}"],
          ...args.map((it) => it.replace("PROXY", proxy.slice(7))),
          url,
        ]);
        assertEquals([code, stdout], [0, status]);
        assertEquals(web.connections, status === "200" ? 1 : 0);
      }),
    { skip: skipCurl },
  );
}

test(
  "serve() forwards 50 MiB each way by curl, with a length and in chunks",
  () =>
    withWeb({}, async (proxy, url, server) => {
      const hash = createHash("sha256");
      const down = await curl(["-x", proxy, `${url}50`], {
        onStdout: (chunk) => hash.update(chunk),
      });
      assertEquals([down.code, down.stderr], [0, ""]);
      assertEquals(hash.digest("hex"), checksum(50));
      const { session } = await server.ended();
      assert(session.received > 50 * MIB, `${session.received}`);
      const fields = ["Transfer-Encoding:", `Content-Length: ${50 * MIB}`];
      for (const length of [[], fields.flatMap((it) => ["-H", it])]) {
        const up = await curl(["-x", proxy, ...length, "-T", "-", url], {
          stdin: blocks(50),
        });
        assertEquals([up.code, up.stderr, up.stdout], [0, "", checksum(50)]);
      }
    }),
  { skip: skipCurl },
);

test(
  "serve() responds to curl with 502 if the target refuses, and 403 if a rule does",
  () =>
    withWeb({ policy: undefined }, async (proxy, url, server) => {
      const write = ["-o", "/dev/null", "-w", "%{http_code}"];
      const closed = `http://127.0.0.1:${await closedPort()}/`;
      assertEquals((await curl(["-x", proxy, ...write, closed])).stdout, "502");
      await server.server.update({ http: true, policy: rules(["deny *"]) });
      const denied = await curl(["-x", proxy, url]);
      assertStringIncludes(denied.stdout, "not allowed by the server's rules");
    }),
  { skip: skipCurl },
);

test(
  "serve() forwards requests of curl to nginx",
  () =>
    withFolder(async (folder) => {
      const file = `${folder}/nginx.conf`;
      const large = "0123456789".repeat(300_000);
      await writeFile(`${folder}/large`, large);
      const write = (port: number) =>
        writeFile(
          file,
          `
daemon off;
master_process off;
pid ${folder}/pid;
error_log stderr error;
events {}
http {
  access_log off;
  default_type text/plain;
  server {
    listen 127.0.0.1:${port};
    root ${folder};
    gzip on;
    gzip_types text/plain;
    location = /hello { return 200 hello; }
    location = /empty { return 204; }
  }
}
`,
        );
      await withListening(
        "nginx",
        async (port) => {
          await write(port);
          return ["-p", folder, "-e", "stderr", "-c", file];
        },
        async (port) => {
          const server = await startServer({ http: true });
          const proxy = `http://127.0.0.1:${server.server.addr.port}`;
          const url = `http://127.0.0.1:${port}`;
          try {
            const format = ["-w", " %{http_code} %{num_connects}\n"];
            const { stdout, stderr } = await curl([
              ...["-x", proxy, ...format],
              ...[
                `${url}/hello`,
                `${url}/empty`,
                `${url}/none`,
                "-o",
                "/dev/null",
              ],
            ]);
            assertEquals(stderr, "");
            assertEquals(stdout.match(/ \d{3} \d/g), [
              " 200 1",
              " 204 0",
              " 404 0",
            ]);
            // With gzip in chunks, without it with a length.
            for (const args of [["--compressed"], []]) {
              const got = await curl(["-x", proxy, ...args, `${url}/large`]);
              assertEquals(got.stdout === large, true);
            }
          } finally {
            await server.close();
          }
        },
      );
    }),
  { skip: missing("curl", "nginx") },
);

test(
  "serve() forwards requests of wget, with a login, on one connection",
  () =>
    withWeb(LOGIN, async (proxy, url, server) => {
      const login = proxy.replace("//", "//bob:pw@");
      const { code, stdout } = await run(
        "wget",
        ["--no-config", "-qO-", url, `${url}a`],
        { env: { http_proxy: login } },
      );
      assertEquals([code, stdout], [0, "hellohello"]);
      const ends = [await server.ended(), await server.ended()];
      const [one, two] = ends.map(({ session }) => session);
      assertEquals([one.user, two.user], ["bob", "bob"]);
      assertEquals(one.client, two.client);
    }),
  { skip: missing("wget") },
);

test(
  "serve() forwards a download of apt",
  () =>
    withFolder((folder) =>
      withWeb({}, async (proxy, url, server) => {
        const { code } = await run("/usr/lib/apt/apt-helper", [
          ...["-o", `Acquire::http::Proxy=${proxy}`],
          ...["-o", "APT::Sandbox::User=", "-o", "Dir::Cache=/nowhere"],
          ...["download-file", `${url}1`, `${folder}/got`],
        ]);
        assertEquals(code, 0);
        const got = await readFile(`${folder}/got`);
        assertEquals(
          createHash("sha256").update(got).digest("hex"),
          checksum(1),
        );
        assertEquals((await server.ended()).reason, "finished");
        assertEquals(repliesOf(server), ["forward 200 finished"]);
      })
    ),
  { skip: missing("/usr/lib/apt/apt-helper") },
);

/** The arguments: the folder of undici, the proxy, the URL. */
const UNDICI = `
const [folder, uri, url] = process.argv.slice(1);
const { createRequire } = await import("node:module");
const { ProxyAgent, request } = createRequire(folder + "/x.js")("undici");
const token = "Basic " + Buffer.from("bob:pw").toString("base64");
const dispatcher = new ProxyAgent({ uri, token, proxyTunnel: false });
const texts = [];
for (const method of ["GET", "POST", "GET"]) {
  const body = method === "POST" ? "abc" : undefined;
  const got = await request(url, { dispatcher, method, body });
  texts.push(got.statusCode + await got.body.text());
}
console.log(texts.join());
await dispatcher.close();
`;

test(
  "serve() forwards requests of npm undici",
  async () => {
    const folder = await installed("undici@7.16.0");
    await withWeb(LOGIN, async (proxy, url, server) => {
      const { code, stdout, stderr } = await run(
        executable("node"),
        ["--input-type=module", "-e", UNDICI, folder, proxy, url],
        { env: environment() },
      );
      assertEquals([stderr, code, stdout], [
        "",
        0,
        "200hello,200hello,200hello\n",
      ]);
      for (let i = 0; i < 3; i++) await server.ended();
      assertEquals(repliesOf(server), Array(3).fill("forward 200 finished"));
    });
  },
  { skip: missingRuntime("node") ?? missingRuntime("deno") },
);

/** Its script sends a POST and shows the answer. */
const PAGE = `<!doctype html><title>page</title><p id="answer">none</p><script>
fetch("/answer", { method: "POST", body: "abc" }).then((it) => it.text())
  .then((it) => document.querySelector("p").textContent = it);
</script>`;

test(
  "serve() forwards a page of Chromium and its requests",
  () =>
    withFolder(async (folder) => {
      const methods: string[] = [];
      const web = http.createServer((request, response) => {
        methods.push(`${request.method} ${request.url}`);
        const isPage = request.url === "/";
        response.setHeader("content-type", isPage ? "text/html" : "text/plain");
        response.end(isPage ? PAGE : "answered");
      });
      await new Promise<void>((resolve) =>
        web.listen(0, "127.0.0.1", () => resolve())
      );
      const { port } = web.address() as AddressInfo;
      const server = await startServer({
        http: true,
        policy: rules([`allow 127.0.0.1:${port}`, "deny *"]),
      });
      try {
        const { stdout } = await run("chromium", [
          ...["--headless=new", "--no-sandbox", "--disable-gpu"],
          `--user-data-dir=${folder}`,
          `--proxy-server=http://127.0.0.1:${server.server.addr.port}`,
          "--proxy-bypass-list=<-loopback>",
          ...["--virtual-time-budget=5000", "--dump-dom"],
          `http://127.0.0.1:${port}/`,
        ]);
        assertStringIncludes(stdout, '<p id="answer">answered</p>');
        assertEquals(methods.slice(0, 2), ["GET /", "POST /answer"]);
        await until(
          "the requests have ended",
          () =>
            repliesOf(server).filter((it) => it === "forward 200 finished")
              .length >= 2,
        );
      } finally {
        await server.close();
        web.closeAllConnections();
        await new Promise((resolve) => web.close(resolve));
      }
    }),
  { skip: missing("chromium") },
);
