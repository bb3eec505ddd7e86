/**
 * Clients of databases, of a message broker and of web servers, as their packages are, with
 * the door `register`: none of them knows of a proxy.
 */

import { assert, assertEquals } from "@std/assert";
import * as net from "node:net";
import { join } from "node:path";
import { startWeb } from "../../doors/web.ts";
import { runRegistered } from "../../doors/register/registered.ts";
import { userPass } from "../../../src/server/mod.ts";
import { certificates } from "../../support/certificates.ts";
import { test } from "../../support/harness.ts";
import { closedPort, startServer } from "../../support/server.ts";
import {
  type Database,
  DATABASE_LOGIN,
  type DatabaseKind,
  databases,
} from "../databases.ts";
import { proxyKinds } from "../proxies.ts";
import { installed, missingRuntime } from "../runtimes.ts";

const PACKAGES = [
  "pg@8.23.1",
  "mysql2@3.24.6",
  "ioredis@6.0.0",
  "redis@6.3.1",
  "amqplib@2.3.1",
  "axios@1.21.1",
  "ws@8.23.0",
];

/** Deno wants the packages to be dependencies. */
const PACKAGE_JSON = JSON.stringify({
  dependencies: Object.fromEntries(PACKAGES.map((it) => it.split("@"))),
});

/** The beginning of all programs. */
const PRELUDE = `
import { createRequire } from "node:module";
import process from "node:process";
const { PORT, TLS_PORT, CA: ca, USERNAME: user, PASSWORD: password } = process.env;
const require = createRequire(import.meta.url);
const [port, tlsPort, host] = [Number(PORT), Number(TLS_PORT), "localhost"];
const print = (...values) => console.log(JSON.stringify(values));
`;

/** Programs that print a line of JSON, the same from every server. */
interface Program {
  readonly server: DatabaseKind["name"];
  readonly client: string;
  readonly code: string;
  readonly prints: readonly unknown[];
}

const PROGRAMS: readonly Program[] = [
  {
    server: "PostgreSQL",
    client: "pg",
    code: `
const { Client, Pool } = require("pg");
const options = { host, port, user, password, database: user };
const client = new Client(options);
await client.connect();
const { rows } = await client.query("SELECT repeat('x', 300000) AS text");
await client.end();
const pool = new Pool({ ...options, ssl: { ca }, max: 2 });
const query = () => pool.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
const secure = await Promise.all([query(), query()]);
await pool.end();
print(rows[0].text.length, ...secure.map((it) => it.rows[0].ssl));
`,
    prints: [300_000, true, true],
  },
  {
    server: "MariaDB",
    client: "mysql2",
    code: `
const mysql = require("mysql2/promise");
const options = { host, port, user, password, database: user };
const connection = await mysql.createConnection(options);
const [rows] = await connection.query("SELECT REPEAT('x', 300000) AS text");
await connection.end();
const pool = mysql.createPool({ ...options, ssl: { ca } });
const [[{ Value: cipher }]] = await pool.query("SHOW STATUS LIKE 'Ssl_cipher'");
await pool.end();
print(rows[0].text.length, cipher !== "");
`,
    prints: [300_000, true],
  },
  {
    server: "Redis",
    client: "ioredis",
    code: `
const { Redis } = require("ioredis");
const use = async (options) => {
  const redis = new Redis({ host, username: user, password, retryStrategy: null, ...options });
  redis.on("error", () => {});
  try {
    await redis.set("key", "x".repeat(100000));
    return (await redis.get("key")).length;
  } finally { redis.disconnect(); }
};
print(await use({ port }), await use({ port: tlsPort, tls: { ca } }));
`,
    prints: [100_000, 100_000],
  },
  {
    server: "Redis",
    client: "redis",
    code: `
const { createClient } = require("redis");
const use = async (socket) => {
  const client = createClient({ username: user, password, socket: { host, reconnectStrategy: false, ...socket } });
  client.on("error", () => {});
  await client.connect();
  await client.set("key", "x".repeat(100000));
  const { length } = await client.get("key");
  await client.close();
  return length;
};
print(await use({ port }), await use({ port: tlsPort, tls: true, ca }));
`,
    prints: [100_000, 100_000],
  },
  {
    server: "RabbitMQ",
    client: "amqplib",
    code: `
const amqp = require("amqplib");
const use = async (protocol, port, options) => {
  const connection = await amqp.connect(\`\${protocol}://\${user}:\${password}@\${host}:\${port}\`, options);
  const channel = await connection.createChannel();
  const { queue } = await channel.assertQueue("", { exclusive: true });
  const message = new Promise((resolve) => channel.consume(queue, resolve));
  channel.sendToQueue(queue, Buffer.from("hello"));
  const { content } = await message;
  await connection.close();
  return \`\${content}\`;
};
print(await use("amqp", port), await use("amqps", tlsPort, { ca: [ca] }));
`,
    prints: ["hello", "hello"],
  },
];

/** Runs a program with a proxy, and returns what it prints, or its error. */
async function run(
  code: string,
  proxy: string,
  { port, tlsPort, ca }: Database,
): Promise<{ printed?: unknown; stderr: string }> {
  const folder = await installed(...PACKAGES);
  const { username, password } = DATABASE_LOGIN;
  const { code: exit, stdout, stderr } = await runRegistered(PRELUDE + code, {
    env: {
      PORT: `${port}`,
      TLS_PORT: `${tlsPort}`,
      CA: ca,
      USERNAME: username,
      PASSWORD: password,
      ALL_PROXY: proxy,
    },
    packages: join(folder, "node_modules"),
    files: { "package.json": PACKAGE_JSON },
  });
  return exit === 0 ? { printed: JSON.parse(stdout), stderr } : { stderr };
}

for (const { server, client, code, prints } of PROGRAMS) {
  const { skip, run: start } = databases[server];
  test(
    `${client} with register reaches ${server} through a server with a login`,
    () =>
      start(async (database) => {
        const auth = [userPass({ alice: "correct horse" })];
        const proxy = await startServer({ auth });
        try {
          const { port } = proxy.server.addr;
          const url = `socks5h://alice:correct%20horse@127.0.0.1:${port}`;
          const { printed, stderr } = await run(code, url, database);
          assertEquals(printed, prints, stderr);
          const ports = proxy.events.flatMap((it) =>
            it.type === "request" ? [it.session.target?.port] : []
          );
          assert(ports.includes(database.port) && ports.length > 1);
          assert(ports.includes(database.tlsPort));
          const down = `socks5h://127.0.0.1:${await closedPort()}`;
          const failed = await run(code, down, database);
          assertEquals(failed.printed, undefined);
        } finally {
          await proxy.close();
        }
      }),
    { skip: skip ?? missingRuntime("deno"), timeout: 120_000 },
  );
}

/** Counts the connections to a port in front of it. */
async function startCounter(to: number) {
  const sockets = new Set<net.Socket>();
  let count = 0;
  const server = net.createServer((client) => {
    count++;
    const next = net.connect(to, "127.0.0.1");
    for (const socket of [client, next]) {
      sockets.add(socket);
      socket.on("error", () => {}).on("close", () => {
        client.destroy();
        next.destroy();
      });
    }
    client.pipe(next).pipe(client);
  });
  await new Promise<void>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve())
  );
  return {
    port: (server.address() as net.AddressInfo).port,
    count: () => count,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const KINDS = proxyKinds.filter(({ name }) =>
  ["danted with a login", "ssh -D"].includes(name)
);

for (const { name, protocols, login, skip, run: startProxy } of KINDS) {
  const { code, prints } = PROGRAMS[0];
  const { skip: lacksServer, run: start } = databases.PostgreSQL;
  test(
    `pg with register reaches PostgreSQL through ${name}`,
    () =>
      start((database) =>
        startProxy(async (proxyPort) => {
          const counter = await startCounter(proxyPort);
          const at = login
            ? `${login.username}:${encodeURIComponent(login.password)}@`
            : "";
          const url = `${protocols[0]}://${at}127.0.0.1:${counter.port}`;
          try {
            const { printed, stderr } = await run(code, url, database);
            assertEquals(printed, prints, stderr);
            assertEquals(counter.count(), 3);
          } finally {
            await counter.close();
          }
        })
      ),
    {
      skip: skip ?? lacksServer ?? missingRuntime("deno"),
      timeout: 120_000,
    },
  );
}

test(
  "axios and ws with register reach web servers through a server with a login",
  async () => {
    const auth = [userPass({ alice: "correct horse" })];
    const proxy = await startServer({ auth });
    const web = await startWeb();
    const secure = await startWeb(certificates().server);
    const code = `
import axios from "axios";
const WebSocket = require("ws");
const { Agent } = require("node:https");
const { data } = await axios.get(\`http://localhost:\${port}/axios\`);
const redirected = await axios.get(\`http://localhost:\${port}/redirect?302,\` +
  encodeURIComponent(\`https://localhost:\${tlsPort}/redirected\`), { httpsAgent: new Agent({ ca }) });
const echo = (url) => new Promise((resolve, reject) => {
  const socket = new WebSocket(url, { ca }).on("error", reject);
  socket.on("open", () => socket.send("hello"));
  socket.on("message", (it) => { resolve(\`\${it}\`); socket.close(); });
});
print(data, redirected.data, await echo(\`ws://localhost:\${port}/\`), await echo(\`wss://localhost:\${tlsPort}/\`));
`;
    const ports = {
      port: web.port,
      tlsPort: secure.port,
      ca: certificates().ca.cert,
    };
    const connections = () => web.connections + secure.connections;
    try {
      const { port } = proxy.server.addr;
      const url = `socks5h://alice:correct%20horse@127.0.0.1:${port}`;
      const { printed, stderr } = await run(code, url, ports);
      assertEquals(
        printed,
        ["/axios", "/redirected", "hello", "hello"],
        stderr,
      );
      const granted = proxy.events.filter((it) => it.type === "reply");
      assertEquals(granted.length, connections());
      const before = connections();
      const down = `socks5h://127.0.0.1:${await closedPort()}`;
      assertEquals((await run(code, down, ports)).printed, undefined);
      assertEquals(connections(), before);
    } finally {
      await Promise.all([web, secure, proxy].map((it) => it.close()));
    }
  },
  { skip: missingRuntime("deno"), timeout: 120_000 },
);
