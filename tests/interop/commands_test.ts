/** BIND and UDP ASSOCIATE of our client, through danted and through our server on every runtime. */

import "./server_program.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { once } from "node:events";
import * as net from "node:net";
import {
  bind,
  type ClientOptions,
  type ProxyConfig,
  SocksError,
  udpAssociate,
} from "../../src/client/mod.ts";
import { test } from "../support/harness.ts";
import { assertSameOctets, pattern } from "../transport/contract.ts";
import { ownKinds, type ProxyKind, proxyKinds } from "./proxies.ts";
import { readToEnd } from "./raw_client.ts";
import { startDatagramTarget } from "./targets.ts";

const options: ClientOptions = { timeout: 20_000 };

/** The configurations for a server of this kind, one for each of its protocols. */
function proxiesOf(kind: ProxyKind, port: number): ProxyConfig[] {
  return kind.protocols.map((protocol) => ({
    protocol,
    hostname: "127.0.0.1",
    port,
    ...kind.login,
  }));
}

async function checkDatagrams(proxy: ProxyConfig): Promise<void> {
  const target = await startDatagramTarget();
  const udp = await udpAssociate(proxy, options);
  try {
    for (const hostname of ["127.0.0.1", "::1", "localhost"]) {
      for (const size of [0, 1, 1_400, 8_192]) {
        const payload = pattern(size);
        await udp.send(payload, { hostname, port: target.port });
        const { value } = await udp.next();
        assert(value, "the association has ended");
        const [answer, from] = value;
        assertSameOctets(answer, payload);
        assertEquals(from.port, target.port);
        if (hostname !== "localhost") assertEquals(from.hostname, hostname);
      }
    }
    assertEquals(udp.dropped, 0);
  } finally {
    udp.close();
    await target.close();
  }
}

async function checkBind(proxy: ProxyConfig): Promise<void> {
  const listener = await bind(proxy, "127.0.0.1", options);
  const peer = await connectTo(listener.addr);
  try {
    const octets = pattern(100_000);
    peer.end(octets);
    const conn = await listener.accept({ timeout: 20_000 });
    assertEquals(conn.peerAddr, {
      hostname: "127.0.0.1",
      port: peer.localPort!,
    });
    const got = await new Response(conn.readable).arrayBuffer();
    assertSameOctets(new Uint8Array(got), octets);
    const writer = conn.writable.getWriter();
    await writer.write(octets.reverse());
    await writer.close();
    assertSameOctets(await readToEnd(peer), octets);
    conn.close();
  } finally {
    listener.close();
    peer.destroy();
  }
}

async function checkWrongPeer(
  proxy: ProxyConfig,
  reply: number,
): Promise<void> {
  const listener = await bind(proxy, "127.0.0.2", options);
  const peer = await connectTo(listener.addr);
  try {
    const accepting = () => listener.accept({ timeout: 20_000 });
    const error = await assertRejects(accepting, SocksError);
    assertEquals([error.code, error.reply], ["rejected", reply]);
  } finally {
    listener.close();
    peer.destroy();
  }
}

async function connectTo(
  { hostname, port }: { hostname: string; port: number },
): Promise<net.Socket> {
  const peer = net.connect({ host: hostname, port, allowHalfOpen: true });
  await once(peer, "connect");
  peer.on("error", () => {}); // a refused peer may get a reset
  return peer;
}

for (const kind of [...proxyKinds, ...ownKinds].filter((it) => it.commands)) {
  test(
    `udpAssociate() through ${kind.name} sends and receives datagrams`,
    () =>
      kind.run(async (port) => {
        for (const proxy of proxiesOf(kind, port)) {
          if (proxy.protocol.startsWith("socks5")) {
            await checkDatagrams(proxy);
          }
        }
      }),
    { skip: kind.skip },
  );

  test(
    `bind() through ${kind.name} accepts a peer and carries data both ways`,
    () =>
      kind.run(async (port) => {
        for (const proxy of proxiesOf(kind, port)) await checkBind(proxy);
      }),
    { skip: kind.skip },
  );

  const { wrongPeer } = kind;
  if (wrongPeer === undefined) continue;
  test(
    `accept() through ${kind.name} rejects when another peer connects`,
    () =>
      kind.run(async (port) => {
        for (const proxy of proxiesOf(kind, port)) {
          if (proxy.protocol.startsWith("socks5")) {
            await checkWrongPeer(proxy, wrongPeer);
          }
        }
      }),
    { skip: kind.skip },
  );
}
