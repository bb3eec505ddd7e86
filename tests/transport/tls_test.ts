import process from "node:process";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { certificates } from "../support/certificates.ts";
import { runtime } from "../support/harness.ts";
import { transportContract } from "./contract.ts";

/** The transport of the runtime, with TLS on all its connections. */
async function overTls(): Promise<Transport> {
  const native = await detectTransport();
  const { ca, server } = certificates();
  const tls = { serverName: "localhost", ca: ca.cert };
  return {
    ...native,
    listen: (options, ...listeners) =>
      native.listen({ ...options, tls: server }, ...listeners),
    connect: (options) => native.connect({ ...options, tls }),
  };
}

transportContract("TLS", overTls, {
  noRoutes: runtime === "deno",
  // Supported by Node.js 22.12 and later.
  noReusePort: process.versions.node.startsWith("20."),
});
