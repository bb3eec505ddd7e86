/** The server behind HAProxy and nginx, which name the client by the PROXY protocol. */

import { assertEquals } from "@std/assert";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import * as net from "node:net";
import { text } from "node:stream/consumers";
import {
  bind,
  type ClientOptions,
  connect,
  udpAssociate,
} from "../../src/client/mod.ts";
import { rules, type ServeOptions, userPass } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { certificates } from "../support/certificates.ts";
import { runtime, test } from "../support/harness.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { versionOptions, withTlsVersion } from "../support/tls_version.ts";
import { missing, run, until, withFolder, withListening } from "./programs.ts";
import { assertSameOctets, pattern, readAll } from "../transport/contract.ts";
import {
  echo,
  startDatagramTarget,
  startHttp,
  startTarget,
} from "./targets.ts";

/** The client's address; that of the balancer is 127.0.0.1. */
const CLIENT = "127.0.0.9";
const LOGIN = { username: "alice", password: "secret" };

interface Balancer {
  name: string;
  command: string;
  /** Its arguments; it listens on `port` and forwards to the server on `to`. */
  args(folder: string, port: number, to: number): Promise<string[]>;
  /** Whether it checks the server's health. */
  checks: boolean;
}

/** HAProxy with these words after the server's address. */
function haproxy(name: string, words: string): Balancer {
  return {
    name: `HAProxy with ${name}`,
    command: "haproxy",
    checks: true,
    async args(folder, port, to) {
      const file = `${folder}/haproxy.cfg`;
      await write(
        file,
        `
global
  stats socket ${folder}/stats mode 600
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend socks
  bind 127.0.0.1:${port}
  unique-id-format %[uuid()]
  default_backend nodes
backend nodes
  server node 127.0.0.1:${to} check inter 100ms ${words}
`,
      );
      return ["-db", "-f", file];
    },
  };
}

const nginx: Balancer = {
  name: "nginx with version 1",
  command: "nginx",
  checks: false,
  async args(folder, port, to) {
    const file = `${folder}/nginx.conf`;
    await write(
      file,
      `
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
master_process off;
pid ${folder}/pid;
error_log stderr error;
events {}
stream {
  server {
    listen 127.0.0.1:${port};
    proxy_pass 127.0.0.1:${to};
    proxy_protocol on;
    proxy_half_close on;
  }
}
`,
    );
    return ["-p", folder, "-e", "stderr", "-c", file];
  },
};

const balancers = [
  haproxy("version 1", "send-proxy"),
  haproxy("version 2", "send-proxy-v2"),
  haproxy(
    "version 2 and optional fields",
    "send-proxy-v2 proxy-v2-options crc32c,unique-id",
  ),
  nginx,
];

async function write(file: string, text: string): Promise<void> {
  await writeFile(file, text.trimStart());
}

/** Runs `use` with the port of the balancer and the server behind it. */
function withBalancer(
  { command, args }: Balancer,
  use: (port: number, server: TestServer, folder: string) => Promise<void>,
  options: ServeOptions = {},
): Promise<void> {
  return withFolder(async (folder) => {
    const server = await startServer({
      proxyFrom: ["127.0.0.1"],
      auth: [userPass({ alice: "secret" })],
      policy: rules(["allow user alice 127.0.0.0/8,[::1]"]),
      advertise: ["127.0.0.1"],
      ...options,
    });
    const { port: to } = server.server.addr;
    try {
      await withListening(
        command,
        (port) => args(folder, port, to),
        (port) => use(port, server, folder),
      );
    } finally {
      await server.close();
    }
  });
}

/** Waits until HAProxy has found the server healthy a few times. */
async function passesChecks(
  { events }: TestServer,
  folder: string,
): Promise<void> {
  // HAProxy resets these connections, and Deno does not report most of those.
  if (runtime !== "deno") {
    const probes = () => events.filter((it) => it.type === "probe");
    await until("the health is checked", () => probes().length >= 3);
  }
  await until("HAProxy calls the server healthy", async () => {
    const { status, check_status } = await statusOfNode(folder);
    return status === "UP" && check_status === "L4OK";
  });
  assertEquals((await statusOfNode(folder)).chkfail, "0");
}

/** The figures that HAProxy has about the server, by the names that it gives them. */
async function statusOfNode(folder: string): Promise<Record<string, string>> {
  const socket = net.connect(`${folder}/stats`);
  socket.end("show stat\n");
  const [names, ...rows] = (await text(socket)).replace("# ", "").trim()
    .split("\n").map((line) => line.split(","));
  const row = rows.find((it) => it[1] === "node")!;
  return Object.fromEntries(names.map((name, i) => [name, row[i]]));
}

/** The clients of the sessions that have ended. */
function clientsOf({ events }: TestServer): string[] {
  return events.flatMap((it) =>
    it.type === "session-end" ? [it.session.client.hostname] : []
  );
}

/** The runtime's transport, from the client's address. */
async function fromClient(): Promise<Transport> {
  const transport = await detectTransport();
  return {
    ...transport,
    connect: (options) =>
      transport.connect({ ...options, localAddress: CLIENT }),
    datagrams: (options, onDatagram) =>
      transport.datagrams({ ...options, hostname: CLIENT }, onDatagram),
  };
}

for (const balancer of balancers) {
  const skip = missing(balancer.command, "curl");

  test(
    `serve() knows the client of curl behind ${balancer.name}`,
    () =>
      withBalancer(balancer, async (port, server, folder) => {
        const http = await startHttp();
        try {
          const args = ["-q", "-sS", "--noproxy", "", "--interface", CLIENT];
          const proxy = `socks5h://alice:secret@127.0.0.1:${port}`;
          const url = `http://127.0.0.1:${http.port}/`;
          const { code, stdout, stderr } = await run("curl", [
            ...args,
            "-x",
            proxy,
            url,
          ]);
          assertEquals([stderr, code, stdout], ["", 0, "hello"]);
          const { session, reason } = await server.ended();
          assertEquals([session.client.hostname, reason], [CLIENT, "finished"]);
          if (balancer.checks) await passesChecks(server, folder);
          assertEquals(clientsOf(server), [CLIENT]);
          const rejected = server.events.filter((it) =>
            it.type === "session-rejected"
          );
          assertEquals(rejected, []);
        } finally {
          await http.close();
        }
      }),
    { skip },
  );

  test(
    `serve() relays UDP ASSOCIATE and BIND behind ${balancer.name}`,
    () =>
      withBalancer(balancer, async (port, server) => {
        const transport = await fromClient();
        const options: ClientOptions = { timeout: 20_000, transport };
        const proxy = {
          protocol: "socks5h",
          hostname: "127.0.0.1",
          port,
          ...LOGIN,
        } as const;
        const target = await startDatagramTarget();
        const udp = await udpAssociate(proxy, options);
        try {
          await udp.send(Uint8Array.of(1, 2, 3), {
            hostname: "127.0.0.1",
            port: target.port,
          });
          const { value } = await udp.next();
          assertEquals([...value![0]], [1, 2, 3]);
        } finally {
          udp.close();
          await target.close();
        }
        assertEquals((await server.ended()).session.client.hostname, CLIENT);

        const listener = await bind(proxy, "127.0.0.1", options);
        const peer = net.connect(listener.addr.port, listener.addr.hostname);
        try {
          await once(peer, "connect");
          const conn = await listener.accept();
          assertEquals(conn.peerAddr, {
            hostname: "127.0.0.1",
            port: peer.localPort!,
          });
          peer.end("hello");
          assertEquals(await new Response(conn.readable).text(), "hello");
          conn.close();
        } finally {
          listener.close();
          peer.destroy();
        }
        assertEquals((await server.ended()).session.client.hostname, CLIENT);
      }),
    { skip },
  );

  const { ca, server: own, alice } = certificates();

  for (const version of ["TLSv1.3", "TLSv1.2"] as const) {
    test(
      `serve() speaks ${version} behind ${balancer.name}, and knows client and certificate`,
      () =>
        withBalancer(
          balancer,
          async (port, server, folder) => {
            const target = await startTarget(echo);
            const proxy = `socks5h+tls://alice:secret@localhost:${port}`;
            const to = `127.0.0.1:${target.port}`;
            const options: ClientOptions = {
              timeout: 20_000,
              transport: await fromClient(),
              tls: { ca: ca.cert, ...alice },
            };
            try {
              const open = () => connect(proxy, to, options);
              const conn = await withTlsVersion(version, open);
              const sent = pattern(1_000_000);
              const writing = conn.write(sent).then(() => conn.closeWrite());
              assertSameOctets(await readAll(conn), sent);
              await writing;
              conn.close();
              const { session, reason } = await server.ended();
              const { client: { hostname }, tls } = session;
              assertEquals([hostname, reason], [CLIENT, "finished"]);
              assertEquals(tls, { version, clientName: "alice" });
              if (balancer.checks) await passesChecks(server, folder);
              assertEquals(clientsOf(server), [CLIENT]);
            } finally {
              await target.close();
            }
          },
          { tls: { ...own, clientCa: ca.cert } },
        ),
      { ...versionOptions(version), ...skip && { skip } },
    );
  }
}
