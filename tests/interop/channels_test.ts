/** Tunnels as clients of `server.handle()`: an SSH channel and a WebSocket. */

import { assertEquals } from "@std/assert";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type { AddressInfo, Server } from "node:net";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { connect } from "../../src/client/mod.ts";
import { userPass } from "../../src/server/mod.ts";
import { test } from "../support/harness.ts";
import {
  echo,
  startServer,
  startTarget,
  type TestServer,
} from "../support/server.ts";
import { pattern, readExactly } from "../transport/contract.ts";
import { missing, run, withFolder, withListening } from "./programs.ts";
import { installed, missingRuntime } from "./runtimes.ts";
import { startHttp } from "./targets.ts";

/** A client on another machine, which needs a login. */
const CLIENT = { hostname: "203.0.113.9", port: 40_000 };
const OPTIONS = {
  listen: false,
  auth: [userPass({ alice: "secret" })],
  policy: () => true,
};

/** Loads an installed package of CommonJS. */
function load(folder: string, name: string): unknown {
  return createRequire(join(folder, "node_modules", "x.js"))(name);
}

/** The members of npm `ssh2` that are used here. */
interface Ssh2 {
  readonly Server: new (
    options: { hostKeys: Uint8Array[] },
    onClient: (client: SshClient) => void,
  ) => Server;
}

interface SshClient {
  on(
    event: "authentication",
    listener: (context: { accept(): void }) => void,
  ): void;
  on(event: "ready" | "error", listener: () => void): void;
  on(
    event: "tcpip",
    listener: (accept: () => Duplex, reject: () => void) => void,
  ): void;
}

/** Starts an SSH server that passes its forwarded connections to a SOCKS server. */
async function startSshServer(key: string, server: TestServer) {
  const folder = await installed("ssh2@1.17.0");
  const ssh2 = load(folder, "ssh2") as Ssh2;
  const listener = new ssh2.Server(
    { hostKeys: [await readFile(key)] },
    (client) => {
      client.on("authentication", (context) => context.accept());
      client.on("error", () => {}); // the client is ended by a signal
      client.on("tcpip", (accept) => {
        server.server.handle(accept(), { client: CLIENT });
      });
    },
  );
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  return { port, close: () => new Promise((done) => listener.close(done)) };
}

const SSH = [
  ...["-F", "none", "-N"],
  ...["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"]
    .flatMap((it) => ["-o", it]),
  ...["BatchMode=yes", "LogLevel=ERROR", "ExitOnForwardFailure=yes"]
    .flatMap((it) => ["-o", it]),
];

test(
  "server.handle() serves curl over a channel of OpenSSH",
  () =>
    withFolder(async (folder) => {
      const key = join(folder, "key");
      await run("ssh-keygen", [
        ...["-q", "-t", "ed25519", "-N", "", "-f", key],
      ]);
      const http = await startHttp();
      const server = await startServer(OPTIONS);
      const ssh = await startSshServer(key, server);
      try {
        await withListening(
          "ssh",
          (port) => [
            ...[...SSH, "-p", `${ssh.port}`],
            ...["-L", `127.0.0.1:${port}:proxy:1080`, "anyone@127.0.0.1"],
          ],
          async (port) => {
            const url = `http://127.0.0.1:${http.port}/`;
            for (const login of ["alice:secret", "alice:wrong"]) {
              const { code, stdout } = await run("curl", [
                ...["-q", "--silent", "--noproxy", ""],
                ...["--proxy", `socks5h://${login}@127.0.0.1:${port}`, url],
              ]);
              const isRight = login === "alice:secret";
              assertEquals([code, stdout], isRight ? [0, "hello"] : [97, ""]);
              let end = await server.ended();
              while (end.session.version === undefined) {
                end = await server.ended(); // of a connection that only looked for the port
              }
              assertEquals(end.session.client, CLIENT);
              assertEquals(end.reason, isRight ? "finished" : "login-failed");
            }
          },
        );
      } finally {
        await ssh.close();
        await server.close();
        await http.close();
      }
    }),
  {
    skip: missing("ssh", "ssh-keygen", "curl") ?? missingRuntime("deno"),
    foreign: true, // ssh2 keeps its ciphers
  },
);

/** The members of npm `ws` that are used here. */
interface Ws {
  readonly WebSocketServer: new (
    options: { host: string; port: number },
  ) => Server & {
    on(event: "connection", listener: (socket: unknown) => void): void;
  };
  readonly WebSocket: new (url: string) => unknown;
  createWebSocketStream(
    socket: unknown,
    options: { allowHalfOpen: boolean },
  ): Duplex;
}

test(
  "server.handle() serves our client over a WebSocket of the npm package ws",
  async () => {
    const folder = await installed("ws@8.23.0");
    const ws = load(folder, "ws") as Ws;
    const target = await startTarget(echo);
    const server = await startServer(OPTIONS);
    const open = (socket: unknown) =>
      ws.createWebSocketStream(socket, { allowHalfOpen: true });
    const listener = new ws.WebSocketServer({ host: "127.0.0.1", port: 0 });
    listener.on("connection", (socket) => {
      server.server.handle(open(socket), { client: CLIENT });
    });
    await once(listener, "listening");
    const { port } = listener.address() as AddressInfo;
    try {
      const tunnel = open(new ws.WebSocket(`ws://127.0.0.1:${port}`));
      const conn = await connect("socks5h://alice:secret@proxy", target.addr, {
        conn: tunnel,
      });
      const sent = pattern(1_000_000);
      // No half-close: a WebSocket closes both directions at once.
      const writing = conn.write(sent);
      const received = await readExactly(conn, sent.length);
      await writing;
      assertEquals(received.length, sent.length);
      assertEquals(received.every((it, index) => it === sent[index]), true);
      conn.close();
      const { session } = await server.ended();
      assertEquals([session.client, session.sent], [CLIENT, sent.length]);
    } finally {
      listener.close();
      await server.close();
      await target.close();
    }
  },
  { skip: missingRuntime("deno") },
);
