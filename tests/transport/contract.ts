/**
 * The contract of a transport, as tests. They need only a {@linkcode Transport}. To test
 * one of your own, call
 *
 *     transportContract("mine", () => Promise.resolve(myTransport));
 *
 * @module
 */

import type { Transport } from "../../src/transport/transport.ts";
import { settled } from "../support/conns.ts";
import { test } from "../support/harness.ts";
import type { ContractOptions } from "./contract/check.ts";
import { datagrams } from "./contract/datagrams.ts";
import { listenAndConnect } from "./contract/listen_and_connect.ts";
import { peeks } from "./contract/peeks.ts";
import { readAndWrite } from "./contract/read_and_write.ts";
import { relays } from "./contract/relays.ts";
import { relaysAfterPeek } from "./contract/relays_after_peek.ts";
import { relaysBelowLayers } from "./contract/relays_below_layers.ts";
import { sourceAddresses } from "./contract/source_addresses.ts";

export type { Check, ContractOptions } from "./contract/check.ts";
export { datagrams } from "./contract/datagrams.ts";
export { peeks } from "./contract/peeks.ts";
export { readAndWrite } from "./contract/read_and_write.ts";
export { relays } from "./contract/relays.ts";
export { relaysAfterPeek } from "./contract/relays_after_peek.ts";
export { relaysBelowLayers } from "./contract/relays_below_layers.ts";
export {
  assertKind,
  assertSameOctets,
  connectedPair,
  type Pair,
  pattern,
  readAll,
  readExactly,
  settled,
  until,
} from "../support/conns.ts";

/** Registers the tests; each of them calls `load`. */
export function transportContract(
  name: string,
  load: () => Promise<Transport>,
  options: ContractOptions = {},
): void {
  const check = (what: string, fn: (transport: Transport) => Promise<void>) =>
    test(`${name}: ${what}`, async () => {
      await fn(await load());
      await settled();
    });
  listenAndConnect(check, options);
  readAndWrite(check, options);
  peeks(check);
  relays(check, options, "relay()", (transport) => transport.relay);
  relaysAfterPeek(check, "relay()", (transport) => transport.relay);
  relaysBelowLayers(check, "relay()", (transport) => transport.relay);
  datagrams(check);
  sourceAddresses(check, options);
}
