import * as net from "node:net";
import { assert, assertEquals } from "@std/assert";
import { detectTransport } from "../../src/transport/detect.ts";
import { NetError } from "../../src/transport/errors.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { certificates } from "../support/certificates.ts";
import { test } from "../support/harness.ts";
import {
  type TlsVersion,
  versionOptions,
  withTlsVersion,
} from "../support/tls_version.ts";
import { assertKind, pattern, readAll, readExactly } from "./contract.ts";

/** Someone on the wire who sees and changes only encrypted bytes. */
interface Wire {
  /** The two ends of the connection. */
  readonly client: Conn;
  readonly server: Conn;
  /** The socket to the server. */
  readonly toServer: net.Socket;
  /** Changes what the client sends from now on; `undefined` drops it. */
  change: (chunk: Uint8Array) => Uint8Array | undefined;
  /** Called when the client has sent FIN. */
  onFin: () => void;
}

async function withWire(
  version: TlsVersion,
  use: (wire: Wire) => Promise<void>,
): Promise<void> {
  const { ca, server: own } = certificates();
  const transport = await detectTransport();
  let accepted!: (conn: Conn) => void;
  const server = new Promise<Conn>((resolve) => accepted = resolve);
  const where = { hostname: "127.0.0.1", port: 0 };
  const listener = await transport.listen({ ...where, tls: own }, accepted);
  const wire: { -readonly [K in keyof Wire]?: Wire[K] } = {
    change: (chunk) => chunk,
    onFin: () => wire.toServer?.end(),
  };
  const sockets: net.Socket[] = [];
  const middle = net.createServer({ allowHalfOpen: true }, (fromClient) => {
    const { hostname: host, port } = listener.addr;
    const toServer = net.connect({ host, port, allowHalfOpen: true });
    wire.toServer = toServer;
    for (const it of [fromClient, toServer]) {
      sockets.push(it);
      it.on("error", () => {});
    }
    fromClient.on("data", (chunk) => {
      const changed = wire.change!(new Uint8Array(chunk));
      if (changed) toServer.write(changed);
    });
    fromClient.on("end", () => wire.onFin!());
    toServer.on("data", (chunk) => void fromClient.write(chunk));
    toServer.on("end", () => fromClient.end());
  });
  await new Promise<void>((resolve) => middle.listen(0, "127.0.0.1", resolve));
  const { port } = middle.address() as net.AddressInfo;
  const tls = { serverName: "localhost", ca: ca.cert };
  const connect = () => transport.connect({ ...where, port, tls });
  const client = wire.client = await withTlsVersion(version, connect);
  const far = wire.server = await server;
  await client.write(pattern(10));
  assertEquals(await readExactly(far, 10), pattern(10));
  assertEquals(far.tls, { version });
  try {
    await use(wire as Wire);
  } finally {
    for (const it of [client, far]) it.reset();
    for (const it of sockets) it.destroy();
    middle.close();
    await listener.close();
  }
}

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  const check = (what: string, use: (wire: Wire) => Promise<void>) =>
    test(
      `${version}: ${what}`,
      () => withWire(version, use),
      versionOptions(version),
    );

  check("read() ends at close_notify, before any FIN", async (wire) => {
    wire.onFin = () => {};
    await wire.client.write(pattern(20));
    await wire.client.closeWrite();
    assertEquals(await readAll(wire.server), pattern(20));
    await wire.server.write(pattern(30));
    assertEquals(await readExactly(wire.client, 30), pattern(30));
    await wire.server.closeWrite();
    assertEquals(await wire.client.read(), null);
  });

  check("read() ends at a FIN without close_notify", async (wire) => {
    await wire.client.write(pattern(20));
    assertEquals(await readExactly(wire.server, 20), pattern(20));
    wire.toServer.end();
    assertEquals(await wire.server.read(), null);
    await wire.server.write(pattern(30));
    assertEquals(await readExactly(wire.client, 30), pattern(30));
  });

  check("read() rejects with reset after a reset on the wire", async (wire) => {
    const pending = wire.server.read();
    wire.toServer.resetAndDestroy();
    await assertKind(pending, "reset");
    await assertKind(wire.server.write(pattern(1)), "reset");
  });

  check("read() returns no byte that was changed on the wire", async (wire) => {
    wire.change = (chunk) => chunk.with(chunk.length - 1, chunk.at(-1)! ^ 1);
    await wire.client.write(pattern(2000));
    const error = await wire.server.read().catch((error) => error);
    assert(error instanceof NetError, String(error));
  });

  check("read() rejects bytes that are no record of TLS", async (wire) => {
    wire.toServer.write(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
    const error = await wire.server.read().catch((error) => error);
    assert(error instanceof NetError, String(error));
  });

  check("read() returns no part of a record that is cut off", async (wire) => {
    wire.change = (chunk) => chunk.subarray(0, chunk.length - 5);
    await wire.client.write(pattern(2000));
    wire.client.reset();
    wire.toServer.end();
    const end = await wire.server.read().catch((error) => error);
    assert(end === null || end instanceof NetError, String(end));
  });
}
