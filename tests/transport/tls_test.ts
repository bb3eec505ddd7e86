import process from "node:process";
import { assertEquals } from "@std/assert";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { certificates } from "../support/certificates.ts";
import { runtime, test } from "../support/harness.ts";
import {
  type TlsVersion,
  versionOptions,
  withTlsVersion,
} from "../support/tls_version.ts";
import {
  peeks,
  readAndWrite,
  relays,
  settled,
  transportContract,
} from "./contract.ts";

/** The transport of the runtime, with TLS on all its connections. */
async function overTls(version: TlsVersion): Promise<Transport> {
  const native = await detectTransport();
  const { ca, server } = certificates();
  const tls = { serverName: "localhost", ca: ca.cert };
  return {
    ...native,
    listen: (options, ...listeners) =>
      native.listen({ ...options, tls: server }, ...listeners),
    async connect(options) {
      const connect = () => native.connect({ ...options, tls });
      const conn = await withTlsVersion(version, connect);
      assertEquals(conn.tls?.version, version);
      return conn;
    },
  };
}

const gaps = {
  noRoutes: runtime === "deno",
  // Supported by Node.js 22.12 and later.
  noReusePort: process.versions.node.startsWith("20."),
};

transportContract("TLS 1.3", () => overTls("TLSv1.3"), gaps);

const check = (what: string, fn: (transport: Transport) => Promise<void>) =>
  test(`TLS 1.2: ${what}`, async () => {
    await fn(await overTls("TLSv1.2"));
    await settled();
  }, versionOptions("TLSv1.2"));

readAndWrite(check, gaps);
peeks(check);
relays(check, gaps, "relay()", (transport) => transport.relay);
