import process from "node:process";
import { detectTransport } from "../../src/transport/detect.ts";
import { relayByReading } from "../../src/transport/relay.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { runtime, test } from "../harness.ts";
import {
  relays,
  relaysAfterPeek,
  settled,
  transportContract,
} from "./contract.ts";

const isDeno = runtime === "deno";
const options = {
  noReset: isDeno,
  noRoutes: isDeno,
  noLocalAddress: isDeno,
  // Node.js knows it from 22.12 on.
  noReusePort: process.versions.node.startsWith("20."),
};

transportContract("native transport", detectTransport, options);

const check = (what: string, fn: (transport: Transport) => Promise<void>) =>
  test(what, async () => {
    await fn(await detectTransport());
    await settled();
  });

relays(check, options, "relayByReading()", () => relayByReading);
relaysAfterPeek(check, "relayByReading()", () => relayByReading);
