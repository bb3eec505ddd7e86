/**
 * Uses a server with the npm package `socks`, a client for Node, and prints the
 * results as JSON. The arguments are the folder to load the package from, the port
 * of the server, and the port of a target that echoes datagrams.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import * as dgram from "node:dgram";
import { type EventEmitter, once } from "node:events";
import { createRequire } from "node:module";
import * as net from "node:net";
import { join } from "node:path";
import process from "node:process";

/** The output of the program. */
export interface Findings {
  readonly bind: Record<4 | 5, Bind>;
  readonly associate: Associate;
}

/** The result of a BIND. */
export interface Bind {
  /** The address of the first reply. */
  readonly bound: RemoteHost;
  /** The address of the second reply, and the peer's own address. */
  readonly peer: readonly [RemoteHost, RemoteHost];
  /** The data that the peer received, and the data that the client received. */
  readonly received: readonly [string, string];
}

/** The result of a UDP ASSOCIATE: the answers, and their sources. */
export interface Associate {
  readonly answers: readonly string[];
  readonly sources: readonly RemoteHost[];
}

/** An address in the form of the package. */
export interface RemoteHost {
  host: string;
  port: number;
}

/** The members of the package that are used here. */
interface Package {
  readonly SocksClient: {
    new (options: unknown): Client;
    createUDPFrame(frame: { remoteHost: RemoteHost; data: Buffer }): Buffer;
    parseUDPFrame(frame: Buffer): { remoteHost: RemoteHost; data: Buffer };
  };
}

interface Client extends EventEmitter {
  connect(): void;
}

interface Reply {
  readonly socket: net.Socket;
  readonly remoteHost: RemoteHost;
}

function start(
  { SocksClient }: Package,
  port: number,
  type: 4 | 5,
  command: string,
): Client {
  const client = new SocksClient({
    proxy: { host: "127.0.0.1", port, type },
    command,
    destination: { host: type === 4 ? "127.0.0.1" : "0.0.0.0", port: 0 },
  });
  client.connect();
  return client;
}

async function bind(
  library: Package,
  port: number,
  type: 4 | 5,
): Promise<Bind> {
  const client = start(library, port, type, "bind");
  const established = once(client, "established");
  const [{ remoteHost: bound }] = await once(client, "bound") as [Reply];
  const peer = net.connect(bound.port, "127.0.0.1");
  await once(peer, "connect");
  const itself = { host: peer.localAddress!, port: peer.localPort! };
  peer.end("from the peer"); // it may arrive before the second reply
  const [reply] = await established as [Reply];
  const received = Promise.all([readAll(peer), readAll(reply.socket)]);
  reply.socket.end("from the client");
  return {
    bound,
    peer: [reply.remoteHost, itself],
    received: await received,
  };
}

/**
 * Reads until the FIN. An iterator would lose bytes: the package itself emits `data`
 * for those that arrived together with a reply.
 */
function readAll(socket: net.Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    socket.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    socket.on("end", () => resolve(Buffer.concat(chunks).toString()));
    socket.on("error", reject);
  });
}

async function associate(
  library: Package,
  port: number,
  hosts: readonly RemoteHost[],
): Promise<Associate> {
  const client = start(library, port, 5, "associate");
  const [{ socket, remoteHost }] = await once(client, "established") as [Reply];
  const udp = dgram.createSocket("udp4");
  const answers: string[] = [];
  const sources: RemoteHost[] = [];
  for (const host of hosts) {
    const data = Buffer.from(`to ${host.host}`);
    const frame = library.SocksClient.createUDPFrame({
      remoteHost: host,
      data,
    });
    udp.send(frame, remoteHost.port, remoteHost.host);
    const [message] = await once(udp, "message") as [Buffer];
    const answer = library.SocksClient.parseUDPFrame(message);
    answers.push(`${answer.data}`);
    sources.push(answer.remoteHost);
  }
  udp.close();
  socket.destroy();
  return { answers, sources };
}

if (process.argv[2] === "run-npm_socks") {
  const [folder, server, target] = process.argv.slice(3);
  const library: Package = createRequire(join(folder, "from"))("socks");
  const [port, targetPort] = [Number(server), Number(target)];
  const findings: Findings = {
    bind: { 4: await bind(library, port, 4), 5: await bind(library, port, 5) },
    associate: await associate(
      library,
      port,
      ["127.0.0.1", "localhost"].map((host) => ({ host, port: targetPort })),
    ),
  };
  console.log(JSON.stringify(findings));
  process.exit(0);
}
