/** Keepalive on the connection to the proxy, which detects a dead proxy during long waits. */

import { assertEquals } from "@std/assert";
import process from "node:process";
import {
  bind,
  type ClientOptions,
  connect,
  udpAssociate,
} from "../../src/client/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { test } from "../support/harness.ts";
import { type Script, startProxy, withConns } from "../support/scripted.ts";
import { CHOSEN } from "../support/socks5_wire.ts";
import { until } from "../support/conns.ts";
import { timerOf } from "../support/tcp_timer.ts";

const GRANTED = "05 00 00 01 7F 00 00 01 12 34";
const CONNECTS = "05 01 00 01 C0 00 02 01 00 50";

type Command = (
  proxy: string,
  options: ClientOptions,
) => Promise<{ close(): void }>;

const connecting: Command = (proxy, options) =>
  connect(proxy, "192.0.2.1:80", options);
const binding: Command = (proxy, options) => bind(proxy, undefined, options);

interface Row {
  readonly name: string;
  readonly command: Command;
  readonly script: Script;
}

/** The proxy has granted each of these, and nothing is sent any more. */
const granted: readonly Row[] = [
  {
    name: "connect()",
    command: connecting,
    script: [CHOSEN, [CONNECTS, GRANTED]],
  },
  {
    name: "bind()",
    command: binding,
    script: [CHOSEN, ["05 02 00 01 6*00", GRANTED]],
  },
  {
    name: "udpAssociate()",
    command: udpAssociate,
    script: [CHOSEN, ["05 03 00 01 6*00", GRANTED]],
  },
];

/** A network that records the connections which it makes. */
async function recording() {
  const native = await detectTransport();
  const conns: Conn[] = [];
  const connect: typeof native.connect = async (options) => {
    const conn = await native.connect(options);
    conns.push(conn);
    return conn;
  };
  return { conns, transport: { ...native, connect } };
}

function urlOf({ addr }: { addr: { port: number } }): string {
  return `socks5://127.0.0.1:${addr.port}`;
}

/** Passes when the kernel probes the proxy if it is silent. */
async function assertKeptAlive(conn: Conn): Promise<void> {
  await until(() => timerOf(conn) === "02"); // until the proxy has confirmed the last bytes
}

const skip = process.platform === "linux" ? undefined : "reads /proc/net/tcp";

for (const { name, command, script } of granted) {
  test(`${name} makes the kernel probe a proxy that is silent`, async () => {
    const server = await startProxy(script);
    const { conns, transport } = await recording();
    const result = await command(urlOf(server), { transport });
    await assertKeptAlive(conns[0]);
    result.close();
    await server.close();
  }, { skip });

  test(`${name} goes on when keepAlive() of a connection throws or rejects`, async () => {
    const broken = () => {
      throw new Error("broken by the test");
    };
    for (const keepAlive of [broken, () => Promise.resolve().then(broken)]) {
      const server = await startProxy(script);
      const options = await withConns({ keepAlive });
      (await command(urlOf(server), options)).close();
      await server.rest;
      await server.close();
    }
  });
}

test(
  "connect() makes the kernel probe a proxy whose reply it waits for",
  async () => {
    const server = await startProxy([CHOSEN, [CONNECTS, ""]]);
    const { conns, transport } = await recording();
    const controller = new AbortController();
    const { signal } = controller;
    const connected = connecting(urlOf(server), { transport, signal })
      .then(() => "connected", (error) => error.code);
    await server.played;
    await assertKeptAlive(conns[0]);
    controller.abort();
    assertEquals(await connected, "aborted");
    await server.close();
  },
  { skip },
);
