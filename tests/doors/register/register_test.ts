/** Unmodified programs whose connections go through the proxy of `ALL_PROXY`, or fail. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { speakFirst, startTarget, type Target } from "../../interop/targets.ts";
import { certificates } from "../../support/certificates.ts";
import { runtime, test } from "../../support/harness.ts";
import { closedPort, type TestServer } from "../../support/server.ts";
import { until } from "../../transport/contract.ts";
import { opened, startProxy, startWeb, urlOf, type Web } from "../web.ts";
import { DOOR, type RunOptions, runRegistered } from "./registered.ts";

/** A proxy, and targets that count their connections. */
interface Lab {
  readonly proxy: TestServer;
  readonly web: Web;
  readonly secure: Web;
  /** Says "hi " first, then echoes. */
  readonly tcp: Target;
}

async function withLab(
  use: (lab: Lab) => Promise<void>,
  options: Parameters<typeof startProxy>[0] = {},
): Promise<void> {
  const proxy = await startProxy(options);
  const [web, secure] = [
    await startWeb(),
    await startWeb(certificates().server),
  ];
  const tcp = await startTarget(speakFirst("hi "));
  try {
    await use({ proxy, web, secure, tcp });
  } finally {
    await Promise.all([web, secure, tcp, proxy].map((it) => it.close()));
  }
}

function connections({ web, secure, tcp }: Lab): number {
  return web.connections + secure.connections + tcp.connections;
}

/** What the programs know of the lab. */
function variables({ web, secure, tcp }: Lab): Record<string, string> {
  const ports = { WEB: web.port, SECURE: secure.port, TCP: tcp.port };
  const texts = Object.entries(ports).map(([name, port]) => [name, `${port}`]);
  const { ca, alice } = certificates();
  const pem = { CA: ca.cert, CERT: alice.cert, KEY: alice.key };
  return { ...Object.fromEntries(texts), ...pem };
}

/**
 * The beginning of programs: `way()` adds a result to a line of JSON that is printed at the
 * end. `one.test` is a name that only the proxy knows.
 */
const PRELUDE = `
import process from "node:process";
const { WEB, SECURE, TCP, CA: ca, CERT, KEY } = process.env;
const results = {};
const way = async (name, use) => {
  try { results[name] = await use(); }
  catch (error) { results[name] = "error " + (error.code ?? error.cause?.code ?? error.message); }
};
const finish = () => console.log(JSON.stringify(results));
`;

/** Runs a program, and returns its results. It has to end by itself. */
async function resultsOf(
  code: string,
  env: Record<string, string>,
  options: RunOptions = {},
): Promise<Record<string, unknown>> {
  const program = `${PRELUDE}\n${code}\nfinish();`;
  const { code: exit, stdout, stderr } = await runRegistered(program, {
    ...options,
    env,
  });
  assertEquals([exit, stdout !== ""], [0, true], stderr);
  return JSON.parse(stdout.split("\n").at(-2)!);
}

/**
 * Runs a program twice: all its ways lead through the proxy, and nowhere when the proxy is
 * down.
 */
async function assertThrough(
  code: string,
  expected: Record<string, unknown>,
  options: RunOptions = {},
): Promise<void> {
  await withLab(async (lab) => {
    const env = variables(lab);
    const results = await resultsOf(code, {
      ...env,
      ALL_PROXY: urlOf(lab.proxy),
    }, options);
    assertEquals(results, expected);
    await all(lab);
    const before = connections(lab);
    assert(before > 0);
    const down = await resultsOf(code, {
      ...env,
      ALL_PROXY: `socks5h://127.0.0.1:${await closedPort()}`,
    }, options);
    assertEquals(Object.keys(down), Object.keys(expected));
    assertEquals(connections(lab), before, JSON.stringify(down));
  });
}

/** Passes if all connections to the targets come from the proxy. */
async function all(lab: Lab): Promise<void> {
  await until(() => opened(lab.proxy) >= connections(lab));
  assertEquals(opened(lab.proxy), connections(lab));
}

test("register sends sockets of node:net through the proxy", () =>
  assertThrough(
    `
import * as net from "node:net";
import { connect } from "node:net";
const receive = (socket, text, count) => new Promise((resolve, reject) => {
  let got = "";
  socket.on("data", (chunk) => { got += chunk; if (got.length >= count) { socket.destroy(); resolve(got); } });
  socket.on("error", reject);
  if (text) socket.write(text);
});
await way("named import", () => receive(connect(TCP, "127.0.0.1"), "there", 8));
await way("options", () => receive(net.connect({ port: TCP, host: "one.test", noDelay: true }), "there", 8));
await way("new Socket", () => receive(new net.Socket().connect(Number(TCP), "one.test"), "there", 8));
await way("listener", () => new Promise((resolve, reject) => {
  const socket = net.createConnection(TCP, "one.test", () => {
    resolve([socket.remotePort === Number(TCP), socket.readyState, socket.pending]);
    socket.destroy();
  });
  socket.on("error", reject);
}));
await way("early data", () => new Promise((resolve, reject) => {
  const socket = connect(TCP, "one.test").on("error", reject);
  socket.on("connect", () => setImmediate(() => receive(socket, "", 3).then(resolve)));
}));
await way("onread", () => new Promise((resolve, reject) => {
  let got = "";
  const callback = (size, buffer) => {
    got += buffer.subarray(0, size);
    if (got.length === 8) { socket.destroy(); resolve(got); }
    return true;
  };
  const socket = net.connect({ port: TCP, host: "one.test", onread: { buffer: Buffer.alloc(2), callback } });
  socket.on("error", reject);
  socket.on("data", () => reject(new Error("data")));
  socket.write("there");
}));
await way("half-closed", () => new Promise((resolve, reject) => {
  let got = "";
  const socket = new net.Socket({ allowHalfOpen: true }).setNoDelay(true).setKeepAlive(true, 1_000);
  socket.connect(TCP, "one.test").on("error", reject);
  socket.write("the");
  socket.end("re");
  socket.on("data", (chunk) => got += chunk).on("end", () => { socket.destroy(); resolve(got); });
}));
await way("connected twice", () => new Promise((resolve, reject) => {
  const got = [];
  const socket = new net.Socket().on("error", (error) => { got.push("", ""); reject(error); });
  socket.on("data", (chunk) => { got.push(\`\${chunk}\`); socket.destroy(); });
  socket.on("close", () => got.length < 2 ? socket.connect(TCP, "one.test") : resolve(got));
  socket.connect(TCP, "one.test");
}));
`,
    {
      "named import": "hi there",
      options: "hi there",
      "new Socket": "hi there",
      listener: [true, "open", false],
      "early data": "hi ",
      onread: "hi there",
      "half-closed": "hi there",
      "connected twice": ["hi ", "hi "],
    },
  ));

test("register sends TLS through the proxy, and checks certificates", () =>
  assertThrough(
    `
import * as net from "node:net";
import * as tls from "node:tls";
import { connect } from "node:tls";
import { get } from "node:https";
import * as http2 from "node:http2";
const path = (socket) => new Promise((resolve, reject) => {
  let got = "";
  socket.on("data", (chunk) => got += chunk).on("error", reject);
  socket.on("close", () => resolve(got.split("\\r\\n").at(-1)));
  socket.write("GET /path HTTP/1.0\\r\\n\\r\\n");
});
const code = (socket) => new Promise((resolve) => {
  socket.on("error", ({ code }) => resolve(code)).on("secureConnect", () => resolve("open"));
});
await way("named import", () => path(connect({ port: SECURE, host: "127.0.0.1", ca })));
await way("servername", () => path(connect({ port: SECURE, host: "one.test", servername: "localhost", ca })));
await way("arguments", () => path(tls.connect(Number(SECURE), "127.0.0.1", { ca })));
await way("https", () => new Promise((resolve, reject) => {
  get({ host: "127.0.0.1", port: SECURE, path: "/https", ca, agent: false }, (answer) => {
    let got = "";
    answer.on("data", (chunk) => got += chunk).on("end", () => resolve(got));
  }).on("error", reject);
}));
await way("over a connecting socket", () => {
  const socket = net.connect(SECURE, "one.test").on("error", () => {});
  return path(connect({ socket, servername: "localhost", ca }));
});
await way("untrusted", () => code(connect({ port: SECURE, host: "127.0.0.1" })));
await way("another name", () => code(connect({ port: SECURE, host: "one.test", ca })));
await way("http2", () => new Promise((resolve) => {
  // The target has only HTTP/1.1, which ends the session.
  const session = http2.connect("https://127.0.0.1:" + SECURE, { ca });
  session.on("error", () => {}).on("close", () => resolve(session.destroyed));
}));
`,
    {
      "named import": "/path",
      servername: "/path",
      arguments: "/path",
      https: "/https",
      "over a connecting socket": "/path",
      untrusted: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      "another name": "ERR_TLS_CERT_ALTNAME_INVALID",
      http2: true,
    },
  ));

test("register sends node:http, fetch and WebSocket through the proxy", () =>
  assertThrough(
    `
import http, { get } from "node:http";
const read = (url, options = {}) => new Promise((resolve, reject) => {
  get(url, options, (answer) => {
    let got = "";
    answer.on("data", (chunk) => got += chunk).on("end", () => resolve(got));
  }).on("error", reject);
});
const text = async (url) => await (await fetch(url)).text();
await way("http", () => read(\`http://one.test:\${WEB}/http\`));
await way("http by address", () => read(\`http://127.0.0.1:\${WEB}/http\`));
await way("http kept alive", async () => {
  const agent = new http.Agent({ keepAlive: true });
  const got = [];
  for (const path of ["a", "b"]) got.push(await read(\`http://one.test:\${WEB}/\${path}\`, { agent }));
  agent.destroy();
  return got;
});
await way("fetch", () => text(\`http://one.test:\${WEB}/fetch\`));
await way("fetch by address", () => text(\`http://127.0.0.1:\${WEB}/fetch\`));
await way("a redirect to another origin", () =>
  text(\`http://one.test:\${WEB}/redirect?302,\` + encodeURIComponent(\`http://127.0.0.1:\${WEB}/redirected\`)));
await way("a body", async () => {
  const answer = await fetch(\`http://one.test:\${WEB}/echo\`, { method: "POST", body: "the body" });
  return (await answer.json()).body;
});
if (globalThis.WebSocket) await way("WebSocket", () => new Promise((resolve, reject) => {
  const socket = new WebSocket(\`ws://one.test:\${WEB}/\`, ["chat"]);
  socket.onopen = () => socket.send("hello");
  socket.onmessage = ({ data }) => { resolve([data, socket.protocol]); socket.close(); };
  socket.onerror = () => reject(new Error("failed"));
}));
`,
    {
      http: "/http",
      "http by address": "/http",
      "http kept alive": ["/a", "/b"],
      fetch: "/fetch",
      "fetch by address": "/fetch",
      "a redirect to another origin": "/redirected",
      "a body": "the body",
      ...globalThis.WebSocket && { WebSocket: ["hello", "chat"] },
    },
  ));

/** Programs that start many others, one after the other. */
const SLOW = { timeout: 150_000 };

/** Fetches a path, and prints it; a worker or a child. */
const FETCHER = `
import { get } from "node:http";
import process from "node:process";
import { workerData } from "node:worker_threads";
const path = workerData ?? process.argv.at(-1);
get(\`http://127.0.0.1:\${process.env.WEB}/\${path}\`, (answer) => {
  answer.on("data", (chunk) => console.log(\`got \${chunk}\`));
}).on("error", ({ code }) => console.log(code));
`;

/** Runs a program that starts others, which all report what they got. */
async function assertIncludes(
  code: string,
  paths: readonly string[],
): Promise<void> {
  await withLab(async (lab) => {
    const run = (ALL_PROXY: string) =>
      runRegistered(`${PRELUDE}\n${code}`, {
        env: { ...variables(lab), ALL_PROXY },
        files: { "fetcher.mjs": FETCHER },
      });
    const { stdout, stderr, code: exit } = await run(urlOf(lab.proxy));
    const got = (text: string) => text.split("\n").filter(Boolean).sort();
    const wanted = paths.map((it) => `got /${it}`).sort();
    assertEquals(got(stdout), wanted, stderr);
    assertEquals(exit, 0, stderr);
    await all(lab);
    const before = connections(lab);
    assertEquals(before, paths.length);
    const port = await closedPort();
    const down = await run(`socks5h://127.0.0.1:${port}`);
    const refused = paths.map(() => "ECONNREFUSED");
    assertEquals(got(down.stdout), refused, down.stderr);
    assertEquals(connections(lab), before);
  });
}

test("register is part of workers", () =>
  assertIncludes(
    `
import { Worker } from "node:worker_threads";
const url = new URL("./fetcher.mjs", import.meta.url);
const run = (script, workerData, options) => new Promise((resolve) => {
  new Worker(script, { workerData, ...options }).on("exit", resolve);
});
await run(url, "by-url");
await run(url.pathname, "by-path");
await run(url, "without-flags", { execArgv: [] });
await run(url, "environment", { env: { WEB } });
await run(url, "both", { env: { WEB }, execArgv: [] });
await run(\`
  const { get } = require("node:http");
  get("http://127.0.0.1:\${WEB}/code", (answer) => answer.on("data", (it) => console.log("got " + it)))
    .on("error", ({ code }) => console.log(code));
\`, "", { eval: true });
`,
    ["by-url", "by-path", "without-flags", "environment", "both", "code"],
  ), SLOW);

test(
  "register is part of web workers",
  () =>
    assertIncludes(
      `
const code = \`
import { get } from "node:http";
get("http://127.0.0.1:\${WEB}/web", (answer) => answer.on("data", (it) => postMessage("got " + it)))
  .on("error", ({ code }) => postMessage(code));
\`;
const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
const worker = new Worker(url, { type: "module" });
await new Promise((resolve) => worker.onmessage = ({ data }) => resolve(console.log(data)));
worker.terminate();
`,
      ["web"],
    ),
  { skip: runtime === "node" ? "Node.js has no web workers" : undefined },
);

test("register can be loaded by --require", () =>
  withLab(async (lab) => {
    const code = `
import { connect } from "node:net";
await way("socket", () => new Promise((resolve, reject) => {
  const socket = connect(TCP, "one.test", () => resolve(socket.destroy().destroyed)).on("error", reject);
}));`;
    const results = await resultsOf(code, {
      ...variables(lab),
      ALL_PROXY: urlOf(lab.proxy),
      NODE_OPTIONS: `--require=${fileURLToPath(DOOR)}`,
    });
    assertEquals(results, { socket: true });
  }), { skip: runtime === "node" ? undefined : "a flag of Node.js" });

/** The arguments of the runtime before the program. */
const RUN = JSON.stringify(runtime === "deno" ? ["run", "--allow-all"] : []);

test("register is part of child processes", () =>
  assertIncludes(
    `
import { execFile, execFileSync, fork, spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
const file = fileURLToPath(new URL("./fetcher.mjs", import.meta.url));
const args = (path) => [...${RUN}, file, path];
const { execPath } = process;
const ended = (child) => new Promise((resolve) => child.on("exit", resolve));
const stdio = ["ignore", "inherit", "inherit"];
await ended(spawn(execPath, args("spawn"), { stdio }));
await ended(spawn(execPath, args("environment"), { stdio, env: { WEB } }));
await ended(fork(file, ["fork"], { stdio: [...stdio, "ipc"] }));
spawnSync(execPath, args("spawnSync"), { stdio, env: { WEB } });
process.stdout.write(execFileSync(execPath, args("execFileSync")));
process.stdout.write((await promisify(execFile)(execPath, args("promise"), { env: { WEB } })).stdout);
for (const name of ["NODE_OPTIONS", "BUN_OPTIONS", "ALL_PROXY", "all_proxy"]) delete process.env[name];
process.stdout.write((await promisify(execFile)(execPath, args("forgotten"))).stdout);
await ended(fork(new URL("./fetcher.mjs", import.meta.url), ["forked"]));
`,
    [
      ...["spawn", "environment", "fork", "spawnSync", "execFileSync"],
      ...["promise", "forgotten", "forked"],
    ],
  ), SLOW);

test("register leaves Unix sockets alone, and refuses UDP", () =>
  withLab(async (lab) => {
    const code = `
import * as net from "node:net";
import * as dgram from "node:dgram";
import { fileURLToPath } from "node:url";
await way("unix", () => new Promise((resolve, reject) => {
  const path = fileURLToPath(new URL("./socket", import.meta.url));
  const server = net.createServer((socket) => socket.end("local")).listen(path, () => {
    net.connect(path).on("data", (it) => { server.close(); resolve(\`\${it}\`); }).on("error", reject);
  });
}));
const bound = () => new Promise((resolve) => {
  const socket = dgram.createSocket("udp4");
  socket.bind(0, "127.0.0.1", () => resolve(socket));
});
const receiver = await bound();
const { port } = receiver.address();
const errors = async (send) => {
  const socket = dgram.createSocket("udp4");
  const error = await new Promise((resolve) => {
    socket.on("error", resolve);
    send(socket, resolve);
  });
  socket.close();
  return error?.code ?? "sent";
};
await way("send", () => errors((socket, done) => socket.send("x", port, "127.0.0.1", done)));
await way("send a part", () => errors((socket, done) => socket.send(Buffer.from("xyz"), 1, 2, port, "127.0.0.1", done)));
await way("send without callback", () => errors((socket) => socket.send("x", port, "127.0.0.1")));
await way("connect", () => errors((socket, done) => socket.connect(port, "127.0.0.1", done)));
let received = false;
receiver.on("message", () => received = true);
await new Promise((resolve) => setTimeout(resolve, 50));
results.received = received;
receiver.close();
`;
    const results = await resultsOf(code, {
      ALL_PROXY: urlOf(lab.proxy),
    });
    assertEquals(results, {
      unix: "local",
      send: "EACCES",
      "send a part": "EACCES",
      "send without callback": "EACCES",
      connect: "EACCES",
      received: false,
    });
    assertEquals(opened(lab.proxy), 0);
  }));

test("register connects directly to the targets in NO_PROXY", () =>
  withLab(async (lab) => {
    const code = `
import { connect } from "node:net";
import * as dgram from "node:dgram";
const open = (port, host) => new Promise((resolve, reject) => {
  const socket = connect(port, host, () => { socket.destroy(); resolve("open"); }).on("error", reject);
});
await way("socket", () => open(TCP, "127.0.0.1"));
await way("fetch", async () => await (await fetch(\`http://127.0.0.1:\${WEB}/direct\`)).text());
await way("a redirect", async () => await (await fetch(\`http://127.0.0.1:\${WEB}/redirect?302,\` +
  encodeURIComponent(\`http://one.test:\${WEB}/redirected\`))).text());
await way("udp", () => new Promise((resolve) => {
  const socket = dgram.createSocket("udp4").on("error", ({ code }) => resolve(code));
  socket.send("x", 9, "127.0.0.1", (error) => { socket.close(); resolve(error?.code ?? "sent"); });
}));
`;
    const results = await resultsOf(code, {
      ...variables(lab),
      ALL_PROXY: urlOf(lab.proxy),
      NO_PROXY: "unknown.test,127.0.0.0/8",
    });
    assertEquals(results, {
      socket: "open",
      fetch: "/direct",
      "a redirect": "/redirected",
      udp: "sent",
    });
    const targets = lab.proxy.events.flatMap((it) =>
      it.type === "request" ? [it.session.target?.hostname] : []
    );
    assertEquals(targets, ["one.test"]);
  }));

/** Lists that have no effect on a connection to 127.0.0.1, although some runtimes differ. */
const LISTS: Record<string, string>[] = [
  { NO_PROXY: "other.test, *" },
  { NO_PROXY: "*.0.0.1, *localhost" },
  { NO_PROXY: "127.0.0.1, localhost", no_proxy: "other.test" },
];

for (const lists of LISTS) {
  test(`register does not connect directly with ${JSON.stringify(lists)}`, () =>
    withLab(async (lab) => {
      const code = `
import { connect } from "node:net";
await way("socket", () => new Promise((resolve, reject) => connect(TCP, "127.0.0.1", resolve).on("error", reject)));
for (const host of ["127.0.0.1", "localhost"]) await way(host, async () => {
  const answer = await fetch(\`http://\${host}:\${WEB}/\`).catch(() => ({ ok: false }));
  return answer.ok;
});
`;
      const results = await resultsOf(code, {
        ...variables(lab),
        ...lists,
        ALL_PROXY: `socks5h://127.0.0.1:${await closedPort()}`,
      });
      assertEquals(results, {
        socket: "error ECONNREFUSED",
        "127.0.0.1": false,
        localhost: false,
      });
      assertEquals(connections(lab), 0);
    }));
}

/** Rows: the environment, and what standard error says. */
const FAILURES: [Record<string, string>, RegExp][] = [
  [{}, /ALL_PROXY names no proxy; for direct connections set NO_PROXY=\*/],
  [{ ALL_PROXY: "" }, /ALL_PROXY names no proxy/],
  [{ HTTP_PROXY: "http://127.0.0.1:1" }, /ALL_PROXY names no proxy/],
  [{ ALL_PROXY: "sock5://127.0.0.1:1" }, /ALL_PROXY: .* begins with one of/],
  [{ ALL_PROXY: "socks5h://127.0.0.1:99999" }, /ALL_PROXY: .* not a URL/],
  [
    { ALL_PROXY: "socks5://h/path", all_proxy: "socks5://" },
    /all_proxy: .* has no path/,
  ],
];

for (const [env, pattern] of FAILURES) {
  test(`register does not start a program with ${JSON.stringify(env)}`, async () => {
    const code = 'console.log("started")';
    const { code: exit, stdout, stderr } = await runRegistered(code, { env });
    assertEquals([exit, stdout], [1, ""]);
    assertMatch(stderr, pattern);
  });
}

test("register reports no password, and reports only in the first process", async () => {
  const code = `
import { spawnSync } from "node:child_process";
import process from "node:process";
if (process.env.DEEP) console.log("deep");
else {
  const args = [...${RUN}, process.argv[1]];
  spawnSync(process.execPath, args, { env: { DEEP: "1" }, stdio: "inherit" });
}`;
  const { code: exit, stdout, stderr } = await runRegistered(code, {
    env: { ALL_PROXY: "socks5h://alice:secret@127.0.0.1:1" },
  });
  assertEquals([exit, stdout], [0, "deep\n"], stderr);
  assertMatch(stderr, /^socks5 register: TCP goes through socks5h:.*\n$/);
  // Deno asks the resolver of the system before it asks the proxy.
  const isTold = stderr.includes("the look-up of names by EventSource");
  assertEquals(isTold, runtime === "deno");
  assert(!/alice|secret/.test(stderr));
});

test("register keeps its way when the program writes to the variables", () =>
  assertThrough(
    `
const names = ["ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"];
for (const name of names.flatMap((it) => [it, it.toLowerCase()])) delete process.env[name];
process.env.NO_PROXY = process.env.no_proxy = "*";
process.env.OTHER = "kept";
const { Worker } = await import("node:worker_threads");
const url = \`http://127.0.0.1:\${WEB}/\`;
const text = async (answer) => await (await answer).text();
await way("fetch", () => text(fetch(url + "a")));
if ("Deno" in globalThis) {
  Deno.env.delete("ALL_PROXY");
  Deno.env.set("NO_PROXY", "*");
}
const code = \`
const { parentPort } = require("node:worker_threads");
fetch("\${url}b").then((it) => it.text()).catch(() => "failed").then((it) => parentPort.postMessage(it));
\`;
await way("worker", async () => {
  const worker = new Worker(code, { eval: true });
  const message = await new Promise((resolve) => worker.on("message", resolve));
  await worker.terminate();
  return message !== "";
});
await way("others", () => process.env.OTHER);
`,
    { fetch: "/a", worker: true, others: "kept" },
  ));

test("register changes nothing with NO_PROXY=*", () =>
  withLab(async (lab) => {
    const code = `
import { connect } from "node:net";
await way("socket", () => new Promise((resolve, reject) => {
  const socket = connect(TCP, "127.0.0.1", () => resolve(socket.destroy().destroyed)).on("error", reject);
}));`;
    const env = { ...variables(lab), NO_PROXY: "*" };
    assertEquals(await resultsOf(code, env), { socket: true });
    assertEquals(connections(lab), 1);
  }));

/** Programs with sockets and fetch, for proxies of other kinds. */
const SHORT = `
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
await way("socket", () => new Promise((resolve, reject) => {
  connect(TCP, "127.0.0.1").on("data", function (it) { this.destroy(); resolve(\`\${it}\`); }).on("error", reject);
}));
await way("tls", () => new Promise((resolve, reject) => {
  const socket = connectTls({ port: SECURE, host: "127.0.0.1", ca }).on("error", reject);
  socket.on("secureConnect", () => { socket.destroy(); resolve("open"); });
}));
await way("fetch", async () => await (await fetch(\`http://127.0.0.1:\${WEB}/fetch\`)).text());
`;

const KINDS: [string, Parameters<typeof startProxy>[0], string | undefined][] =
  [
    ["http", {}, undefined],
    ["socks5", {}, undefined],
    ["socks4a", { auth: undefined }, ""],
    ["socks5h+tls", { tls: certificates().server }, undefined],
  ];

for (const [scheme, options, login] of KINDS) {
  test(`register reaches everything through ${scheme}:`, () =>
    withLab(async (lab) => {
      const folder = await mkdtemp(join(tmpdir(), "socks5-register-"));
      const ca = join(folder, "ca.pem");
      await writeFile(ca, certificates().ca.cert);
      const url = urlOf(lab.proxy, scheme, login).replace("//@", "//");
      try {
        const results = await resultsOf(SHORT, {
          ...variables(lab),
          ALL_PROXY: url,
          NODE_EXTRA_CA_CERTS: ca,
          DENO_CERT: ca,
        });
        assertEquals(results, { socket: "hi ", tls: "open", fetch: "/fetch" });
        await all(lab);
      } finally {
        await rm(folder, { recursive: true });
      }
    }, options));
}

test(
  "register destroys sockets that it cannot connect, and opens nothing",
  () =>
    withLab(async (lab) => {
      const code = `
import { connect, Socket } from "node:net";
import { connect as connectTls } from "node:tls";
for (let it = Socket.prototype; it; it = Object.getPrototypeOf(it)) remove(it);
const socket = connectTls({ port: SECURE, host: "127.0.0.1", ca }).on("error", () => {});
for (let it = Object.getPrototypeOf(socket); it; it = Object.getPrototypeOf(it)) remove(it);
function remove(it) {
  for (const key of Object.getOwnPropertySymbols(it)) {
    if (key.description === "kReinitializeHandle") delete it[key];
  }
}
const message = (socket) => new Promise((resolve) => {
  socket.on("connect", () => resolve("open")).on("error", ({ message }) => resolve(message));
});
await way("socket", () => message(connect(TCP, "127.0.0.1")));
await way("tls", () => message(connectTls({ port: SECURE, host: "127.0.0.1", ca })));
socket.destroy();
`;
      const results = await resultsOf(code, {
        ...variables(lab),
        ALL_PROXY: urlOf(lab.proxy),
      });
      for (const message of Object.values(results)) {
        assertMatch(`${message}`, /no known way to move a connection/);
      }
      assertEquals(Object.keys(results), ["socket", "tls"]);
      await all(lab);
    }),
  {
    skip: runtime === "bun"
      ? "Bun moves connections in another way"
      : undefined,
  },
);

test("register leaves no descriptor of abandoned connections", () =>
  withLab(async (lab) => {
    const code = `
import { readdirSync } from "node:fs";
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
const count = () => readdirSync("/proc/self/fd").length;
const abandon = (socket, i) => new Promise((resolve) => {
  socket.on("error", () => {}).on("close", resolve);
  if (i % 4 === 0) socket.destroy();
  else if (i % 4 === 1) setImmediate(() => socket.destroy());
  else setTimeout(() => socket.destroy(), i % 7);
});
const round = (size) => Promise.all(Array.from({ length: size }, (_, i) =>
  abandon(i % 2 ? connect(TCP, "127.0.0.1") : connectTls({ port: SECURE, host: "127.0.0.1", ca }), i >> 1)));
await round(20);
const before = count();
await round(200);
for (let i = 0; i < 200 && count() > before; i++) await new Promise((resolve) => setTimeout(resolve, 10));
results.left = Math.max(0, count() - before);
`;
    const results = await resultsOf(code, {
      ...variables(lab),
      ALL_PROXY: urlOf(lab.proxy),
    });
    assertEquals(results, { left: 0 });
  }));

test(
  "register covers what Bun has besides node:net, or refuses it",
  () =>
    assertThrough(
      `
import { fetch as imported, RedisClient, SQL } from "bun";
import WebSocketOfWs from "ws";
import { fetch as undici, request } from "undici";
import fetchOfNode from "node-fetch";
const url = \`http://127.0.0.1:\${WEB}/\`;
const text = async (answer) => await (await answer).text();
await way("Bun.fetch", () => text(Bun.fetch(url + "a")));
await way("imported", () => text(imported(url + "b")));
await way("undici", () => text(undici(url + "c")));
await way("undici.request", async () => await (await request(url + "d")).body.text());
await way("node-fetch", () => text(fetchOfNode(url + "e")));
await way("another proxy", () => text(fetch(url + "f", { proxy: "http://127.0.0.1:1" })));
await way("https", () => text(fetch(\`https://127.0.0.1:\${SECURE}/g\`, { tls: { ca } })));
await way("s3", () => Bun.s3.file("key", { bucket: "b", endpoint: url, accessKeyId: "a", secretAccessKey: "s" }).text());
await way("ws", () => new Promise((resolve, reject) => {
  const socket = new WebSocketOfWs(url.replace("http", "ws")).on("error", reject);
  socket.on("open", () => socket.send("hello")).on("message", (it) => { resolve(\`\${it}\`); socket.close(); });
}));
const { hostname, port } = { hostname: "127.0.0.1", port: Number(TCP) };
await way("Bun.connect", () => Bun.connect({ hostname, port, socket: { data() {} } }));
await way("Bun.udpSocket", async () => {
  const socket = await Bun.udpSocket({});
  try { socket.send("x", port, hostname); } finally { socket.close(); }
});
await way("sendMany", async () => {
  const socket = await Bun.udpSocket({});
  try { socket.sendMany(["x", port, hostname]); } finally { socket.close(); }
});
await way("connected", () => Bun.udpSocket({ connect: { hostname, port } }));
await way("SQL", () => new SQL(\`postgres://127.0.0.1:\${TCP}/\`));
await way("sql", () => Bun.sql\`SELECT 1\`);
const child = \`console.log(await (await fetch("\${url}shell")).text().catch(() => "failed"))\`;
const shell = () => Bun.$\`\${process.execPath} -e \${child}\`;
const hasPrinted = async (it) => (await it.text()).trim() !== "";
await way("shell", () => hasPrinted(shell().env({ A: "1" })));
await way("all shells", () => { Bun.$.env({ A: "1" }); return hasPrinted(shell()); });
await way("RedisClient", () => new RedisClient(\`redis://127.0.0.1:\${TCP}\`));
await way("redis", () => Bun.redis.get("x"));
`,
      {
        "Bun.fetch": "/a",
        imported: "/b",
        undici: "/c",
        "undici.request": "/d",
        "node-fetch": "/e",
        "another proxy": "/f",
        https: "/g",
        s3: "/b/key",
        ws: "hello",
        "Bun.connect": "error EACCES",
        "Bun.udpSocket": "error EACCES",
        sendMany: "error EACCES",
        connected: "error EACCES",
        SQL: "error EACCES",
        sql: "error EACCES",
        shell: true,
        "all shells": true,
        RedisClient: "error EACCES",
        redis: "error EACCES",
      },
    ),
  { skip: runtime === "bun" ? undefined : "only Bun has these" },
);

test(
  "register covers what Deno has besides node:net, or refuses it",
  () =>
    assertThrough(
      `
import { spawnSync, execSync } from "node:child_process";
const { hostname, port } = { hostname: "127.0.0.1", port: Number(TCP) };
const read = async (conn, count) => {
  const got = new Uint8Array(count);
  for (let size = 0; size < count;) size += await conn.read(got.subarray(size));
  conn.close();
  return new TextDecoder().decode(got);
};
const url = \`http://127.0.0.1:\${WEB}/\`;
await way("connect", async () => {
  const conn = await Deno.connect({ port });
  await conn.write(new TextEncoder().encode("there"));
  return await read(conn, 8);
});
await way("by name", async () => {
  const conn = await Deno.connect({ hostname: "one.test", port });
  return await read(conn, 3);
});
await way("aborted", () => Deno.connect({ hostname, port, signal: AbortSignal.abort() }));
await way("connectTls", async () => {
  const conn = await Deno.connectTls({ hostname: "127.0.0.1", port: Number(SECURE), caCerts: [ca] });
  await conn.write(new TextEncoder().encode("GET / HTTP/1.0\\r\\n\\r\\n"));
  return await read(conn, 8);
});
await way("another name", async () => {
  const conn = await Deno.connectTls({ hostname: "one.test", port: Number(SECURE), caCerts: [ca] });
  await conn.handshake().finally(() => conn.close()).catch(() => { throw new Error("refused"); });
});
await way("certificate", () => Deno.connectTls({ hostname, port, cert: "x", key: "y" }));
await way("http client", async () => {
  const client = Deno.createHttpClient({ proxy: { url: "http://127.0.0.1:1" } });
  const text = await (await fetch(url + "a", { client })).text();
  client.close();
  return text;
});
await way("http client by address", async () => {
  const proxy = { transport: "tcp", hostname: "127.0.0.1", port: Number(WEB) };
  const client = Deno.createHttpClient({ proxy });
  const text = await (await fetch(url + "b", { client })).text();
  client.close();
  return text;
});
await way("EventSource", () => new Promise((resolve) => {
  const source = new EventSource(url);
  // The target answers with another type.
  source.onerror = () => { source.close(); resolve("failed"); };
}));
const echo = (url, options) => new Promise((resolve, reject) => {
  const socket = new WebSocket(url, options);
  socket.onopen = () => socket.send("hello");
  socket.onmessage = ({ data }) => { resolve([data, socket.url, socket.protocol]); socket.close(); };
  socket.onerror = ({ message }) => reject(new Error(message));
});
const secureUrl = \`wss://localhost:\${SECURE}/\`;
await way("WebSocket", async () => {
  const [data, shown, protocol] = await echo(url, ["chat"]);
  return [data, shown === url.replace("http:", "ws:"), protocol];
});
await way("WebSocket with TLS", async () => {
  const client = Deno.createHttpClient({ caCerts: [ca] });
  const [data, shown] = await echo(secureUrl, { client });
  client.close();
  return [data, shown === secureUrl];
});
await way("WebSocket without trust", () => echo(secureUrl).catch(({ message }) => {
  throw new Error(message.includes("UnknownIssuer") || message);
}));
await way("WebSocket with a certificate", async () => {
  const client = Deno.createHttpClient({ caCerts: [ca], cert: CERT, key: KEY });
  const [data, shown] = await echo(secureUrl, { client });
  client.close();
  return [data, shown === secureUrl];
});
await way("WebSocket without a URL", () => new WebSocket("ftp://one.test/"));
await way("listenDatagram", () => Deno.listenDatagram({ hostname, port: 0, transport: "udp" }));
const code = \`console.log(await (await fetch("\${url}child")).text().catch(() => "failed"))\`;
await way("Command", async () => {
  const args = ["eval", code];
  const { stdout } = await new Deno.Command(Deno.execPath(), { args, clearEnv: true }).output();
  return new TextDecoder().decode(stdout).trim() !== "";
});
const hasPrinted = ({ stdout }) => new TextDecoder().decode(stdout).trim() !== "";
const options = { clearEnv: true, stdout: "piped" };
await way("spawn", async () => {
  const child = Deno.spawn(Deno.execPath(), ["eval", code], options);
  return hasPrinted(await child.output());
});
await way("spawnAndWait", async () =>
  hasPrinted(await Deno.spawnAndWait(Deno.execPath(), { ...options, args: ["eval", code] })));
await way("spawnAndWaitSync", () =>
  hasPrinted(Deno.spawnAndWaitSync(Deno.execPath(), ["eval", code], options)));
await way("no subcommand", () => spawnSync(Deno.execPath(), ["app.mjs"]));
await way("a shell", () => execSync("deno run app.mjs"));
`,
      {
        connect: "hi there",
        "by name": "hi ",
        aborted: "error ABORT_ERR",
        connectTls: "HTTP/1.1",
        "another name": "error refused",
        certificate: "error EACCES",
        "http client": "/a",
        "http client by address": "/b",
        EventSource: "failed",
        WebSocket: ["hello", true, "chat"],
        "WebSocket with TLS": ["hello", true],
        "WebSocket without trust": "error true",
        "WebSocket with a certificate": ["hello", true],
        "WebSocket without a URL": "error 12", // SyntaxError
        listenDatagram: "error EACCES",
        Command: true,
        spawn: true,
        spawnAndWait: true,
        spawnAndWaitSync: true,
        "no subcommand": "error EACCES",
        "a shell": "error EACCES",
      },
    ),
  { skip: runtime === "deno" ? undefined : "only Deno has these" },
);

test("register reports targets that the protocol cannot carry", async () => {
  const code = `
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
const failure = (socket) => new Promise((resolve) => {
  let reason;
  socket.on("error", ({ code }) => reason = code);
  socket.on("close", () => resolve(reason));
});
await way("socket", () => failure(connect(1, "::1")));
await way("tls", () => failure(connectTls(1, "::1")));
`;
  const results = await resultsOf(code, {
    ALL_PROXY: `socks4://127.0.0.1:${await closedPort()}`,
  });
  assertEquals(results, { socket: "EAFNOSUPPORT", tls: "EAFNOSUPPORT" });
});
