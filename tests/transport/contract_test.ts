import process from "node:process";
import { assert } from "@std/assert";
import { detectTransport } from "../../src/transport/detect.ts";
import { relayByReading } from "../../src/transport/relay.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { runtime, test } from "../support/harness.ts";
import {
  relays,
  relaysAfterPeek,
  relaysBelowLayers,
  settled,
  transportContract,
} from "./contract.ts";

const isDeno = runtime === "deno";
const options = {
  noReset: isDeno,
  noRoutes: isDeno,
  // Supported by Node.js 22.12 and later.
  noReusePort: process.versions.node.startsWith("20."),
};

transportContract("native transport", detectTransport, options);

const check = (what: string, fn: (transport: Transport) => Promise<void>) =>
  test(what, async () => {
    await fn(await detectTransport());
    await settled();
  });

check("ownAddresses() returns the addresses of this machine", (transport) => {
  const own = transport.ownAddresses!();
  assert(own.includes("127.0.0.1"), own.join());
  return Promise.resolve();
});

relays(check, options, "relayByReading()", () => relayByReading);
relaysAfterPeek(check, "relayByReading()", () => relayByReading);
relaysBelowLayers(check, "relayByReading()", () => relayByReading);
