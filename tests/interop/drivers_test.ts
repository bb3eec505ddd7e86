/** Drivers with their real servers, through the sockets of the client's door. */

import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import * as net from "node:net";
import { forward } from "../../src/doors/bridge/mod.ts";
import { dialSocket, SocksSocket } from "../../src/doors/socket/mod.ts";
import { userPass } from "../../src/server/mod.ts";
import { test } from "../support/harness.ts";
import { startServer } from "../support/server.ts";
import { type Database, DATABASE_LOGIN, databases } from "./databases.ts";
import { startRelay } from "./counting_relay.ts";
import { type Library, load } from "./libraries.ts";
import { missing, run } from "./programs.ts";
import { proxyKinds } from "./proxies.ts";
import { missingRuntime } from "./runtimes.ts";
import { withSshd } from "./sshd.ts";

const noNpm = missingRuntime("deno"); // which installs the packages
const { username: user, password } = DATABASE_LOGIN;

/** The proxies in front of each driver. */
const foreign = ["danted with a login", "ssh -D"].map((name) =>
  proxyKinds.find((it) => it.name === name)!
);
const noProxies = foreign.map(({ skip }) => skip).find((it) => it);

/**
 * Calls `use` with the URLs of our server with a login, of danted with one, and of `ssh -D`,
 * one after the other. Passes if each of them has connected to the port.
 */
async function throughProxies(
  port: number,
  use: (url: string) => Promise<void>,
): Promise<void> {
  await throughOurs(port, use);
  for (const kind of foreign) {
    await kind.run(async (port) => {
      const relay = await startRelay(port);
      const { login } = kind;
      const text = login
        ? `${login.username}:${encodeURIComponent(login.password)}@`
        : "";
      try {
        await use(`socks5h://${text}127.0.0.1:${relay.port}`);
        assert(relay.connections > 0, `no connection to ${kind.name}`);
      } finally {
        await relay.close();
      }
    });
  }
}

async function throughOurs(
  port: number,
  use: (url: string) => Promise<void>,
): Promise<void> {
  const proxy = await startServer({
    auth: [userPass({ al: "p@ss" })],
  });
  const url = `socks5h://al:p%40ss@127.0.0.1:${proxy.server.addr.port}`;
  try {
    await use(url);
    const granted = proxy.events.filter((event) =>
      event.type === "reply" && event.session.reply === 0 &&
      event.session.target?.port === port
    );
    assert(granted.length > 0, "no session of the proxy");
  } finally {
    await proxy.close();
  }
}

/** Runs a query with a driver, and returns a value of the answer. */
type Query = (url: string, database: Database) => Promise<unknown>;

const host = "127.0.0.1";

/** Rows: the driver, its server, the query, and the answer. */
const drivers: [
  name: string,
  kind: keyof typeof databases,
  query: Query,
  answer: unknown,
][] = [
  ["pg", "PostgreSQL", async (url, { port }) => {
    const { Pool } = await load("pg", "8.23.1");
    const stream = () => new SocksSocket(url);
    const pool = new Pool({
      host,
      port,
      user,
      password,
      database: user,
      stream,
    });
    const { rows } = await pool.query("SELECT 6 * 7 AS answer");
    await pool.end();
    return rows[0].answer;
  }, 42],
  ["pg with TLS", "PostgreSQL", async (url, { tlsPort: port, ca }) => {
    const { Client } = await load("pg", "8.23.1");
    const stream = () => new SocksSocket(url);
    const ssl = { ca };
    const client = new Client({
      host,
      port,
      user,
      password,
      database: user,
      ssl,
      stream,
    });
    await client.connect();
    const { rows } = await client.query("SELECT 6 * 7 AS answer");
    await client.end();
    return rows[0].answer;
  }, 42],
  ["postgres.js", "PostgreSQL", async (url, { port }) => {
    const postgres = await load("postgres", "3.4.9");
    const socket = ({ host: [hostname], port: [port] }: Library) =>
      dialSocket(url, { hostname, port });
    const sql = postgres({
      host,
      port,
      user,
      password,
      database: user,
      socket,
    });
    const [{ answer }] = await sql`SELECT 6 * 7 AS answer`;
    await sql.end();
    return answer;
  }, 42],
  ["mysql2", "MariaDB", async (url, { port }) => {
    const { createConnection } = await load("mysql2", "3.24.6");
    const stream = () => new SocksSocket(url).connect(port, host);
    const connection = createConnection({
      user,
      password,
      database: user,
      stream,
    }).promise();
    const [[{ answer }]] = await connection.query("SELECT 6 * 7 AS answer");
    await connection.end();
    return answer;
  }, 42],
  ["mariadb", "MariaDB", async (url, { port }) => {
    const { createConnection } = await load("mariadb", "3.4.5");
    const stream = (callback: (error: unknown, socket?: net.Socket) => void) =>
      void dialSocket(url, { hostname: host, port })
        .then((socket) => callback(undefined, socket), callback);
    const how = { host, port, user, password, database: user, stream };
    const connection = await createConnection(how);
    const [{ answer }] = await connection.query("SELECT 6 * 7 AS answer");
    await connection.end();
    return Number(answer);
  }, 42],
  ["ioredis", "Redis", async (url, { port }) => {
    const { Redis } = await load("ioredis", "5.8.2");
    class Connector {
      #socket: net.Socket | undefined;
      async connect(): Promise<net.Socket> {
        return this.#socket = await dialSocket(url, { hostname: host, port });
      }
      check(): boolean {
        return true;
      }
      disconnect(): void {
        this.#socket?.end();
      }
    }
    const redis = new Redis({ Connector, password });
    await redis.set("answer", "42");
    const answer = await redis.get("answer");
    await redis.quit();
    return answer;
  }, "42"],
  // The next two drivers take no socket.
  ["node-redis", "Redis", async (url, database) => {
    const { createClient } = await load("redis", "6.3.1");
    const local = await forward(url, { hostname: host, port: database.port });
    const { hostname, port } = local.addr;
    const socket = { host: hostname, port, reconnectStrategy: false };
    const client = createClient({ password, socket });
    client.on("error", () => {});
    await client.connect();
    await client.set("answer", "42");
    const answer = await client.get("answer");
    await client.close();
    await local.close();
    return answer;
  }, "42"],
  ["amqplib with TLS", "RabbitMQ", async (url, { tlsPort: port, ca }) => {
    const { connect } = await load("amqplib", "2.3.1");
    const local = await forward(url, { hostname: host, port });
    const to = `amqps://${user}:${password}@${host}:${local.addr.port}`;
    const connection = await connect(to, { ca: [ca] });
    const channel = await connection.createChannel();
    const { queue } = await channel.assertQueue("", { exclusive: true });
    const message = new Promise<Library>((resolve) =>
      channel.consume(queue, resolve)
    );
    channel.sendToQueue(queue, Buffer.from("42"));
    const { content } = await message;
    await connection.close();
    await local.close();
    return `${content}`;
  }, "42"],
];

for (const [name, kind, query, answer] of drivers) {
  test(`${name} reaches ${kind} through the proxies`, async () => {
    await databases[kind].run(async (database) => {
      const { port, tlsPort } = database;
      const used = name.includes("TLS") ? tlsPort : port;
      await throughProxies(used, async (url) => {
        assertEquals(await query(url, database), answer);
      });
    });
  }, {
    skip: noNpm ?? databases[kind].skip ?? noProxies,
    foreign: true,
    timeout: 120_000,
  });
}

test("ssh2 reaches sshd through the proxies", async () => {
  const { Client } = await load("ssh2", "1.17.0");
  // Bun's userInfo() reads the environment.
  const username = (await run("id", ["-un"])).stdout.trim();
  await withSshd(async ({ port, ssh }) => {
    await throughProxies(port, async (url) => {
      const sock = await dialSocket(url, { hostname: host, port });
      const client = new Client();
      const privateKey = readFileSync(ssh[ssh.indexOf("-i") + 1]);
      client.connect({ sock, username, privateKey });
      await once(client, "ready");
      const text = await new Promise<string>((resolve, reject) =>
        client.exec("echo hello", (error: unknown, stream: Library) => {
          if (error) return reject(error);
          let text = "";
          stream.on("data", (chunk: unknown) => text += chunk);
          stream.on("close", () => resolve(text));
        })
      );
      assertEquals(text, "hello\n");
      client.end();
      await once(client, "close");
    });
  });
}, {
  skip: noNpm ?? missing("sshd", "ssh-keygen") ?? noProxies,
  foreign: true,
});

test("nodemailer reaches a mail server through the proxies", async () => {
  const { SMTPServer } = await load("smtp-server", "3.15.0");
  const { createTransport } = await load("nodemailer", "7.0.10");
  let received = "";
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ["STARTTLS", "AUTH"],
    disableReverseLookup: true,
    onData(stream: Library, _: unknown, done: () => void) {
      stream.on("data", (chunk: unknown) => received += chunk);
      stream.on("end", done);
    },
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.server.address();
  await throughProxies(port, async (url) => {
    const transport = createTransport({
      host,
      port,
      getSocket(_: unknown, callback: (error: unknown, how?: object) => void) {
        dialSocket(url, { hostname: host, port })
          .then((connection) => callback(null, { connection }), callback);
      },
    });
    await transport.sendMail({
      from: "a@a.test",
      to: "b@b.test",
      text: "hello",
    });
    transport.close();
  });
  assertStringIncludes(received, "hello");
  await new Promise<void>((resolve) => server.close(() => resolve()));
}, { skip: noNpm ?? noProxies, foreign: true });

/** Calls `use` with the port of a target that reads, and returns what it has read first. */
async function firstOctets(
  use: (port: number) => Promise<void>,
): Promise<Buffer[]> {
  const first: Buffer[] = [];
  const target = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (chunk) => {
      first.push(chunk);
      socket.destroy();
    });
  });
  await once(target.listen(0, host), "listening");
  try {
    await use((target.address() as net.AddressInfo).port);
  } finally {
    target.close();
  }
  return first;
}

// Neither Debian nor npm has a server for these two drivers.
test("kafkajs speaks to a broker through the proxies", async () => {
  const { Kafka, logLevel } = await load("kafkajs", "2.2.4");
  const read = await firstOctets((port) =>
    throughProxies(port, async (url) => {
      const client = new Kafka({
        brokers: [`${host}:${port}`],
        clientId: "alice",
        logLevel: logLevel.NOTHING,
        retry: { retries: 0 },
        socketFactory: ({ host, port, onConnect }: Library) =>
          new SocksSocket(url).connect(port, host, onConnect),
      });
      await assertRejects(() => client.admin().connect());
    })
  );
  assertEquals(read.length, 3);
  for (const octets of read) {
    assertEquals(octets.readUInt16BE(4), 18); // ApiVersions
    assertStringIncludes(octets.toString("latin1"), "alice");
  }
}, { skip: noNpm ?? noProxies, foreign: true });

test("mongodb speaks to a server through the proxies", async () => {
  const { MongoClient } = await load("mongodb", "7.9.0", "socks@2.8.11");
  const ask = async (to: string, options: object = {}) => {
    const uri = `mongodb://${to}/?directConnection=true`;
    const time = { serverSelectionTimeoutMS: 2_000 };
    const client = new MongoClient(uri, { ...time, ...options });
    await assertRejects(() => client.connect());
    await client.close();
  };
  const read = await firstOctets((port) =>
    throughProxies(port, async (url) => {
      const local = await forward(url, { hostname: host, port });
      await ask(`${host}:${local.addr.port}`);
      await local.close();
      // The driver's own way, by npm's package socks.
      const { hostname, port: proxyPort, username, password } = new URL(url);
      await ask(`${host}:${port}`, {
        proxyHost: hostname,
        proxyPort: Number(proxyPort),
        ...username && {
          proxyUsername: decodeURIComponent(username),
          proxyPassword: decodeURIComponent(password),
        },
      });
    })
  );
  assert(read.length >= 6, `${read.length} connections`);
  for (const octets of read) {
    assertEquals(octets.readUInt32LE(0), octets.length); // a whole message
    assertStringIncludes(octets.toString("latin1"), "helloOk");
  }
}, { skip: noNpm ?? noProxies, foreign: true, timeout: 120_000 });
