/**
 * The warning of a server that cannot close the addresses of its machine.
 *
 * @module
 */

import type { ServeOptions } from "../../server/options.ts";
import { OwnAddresses } from "../../server/policy/own_addresses.ts";
import { resolveSettings } from "../../server/settings.ts";
import type { Transport } from "../../transport/transport.ts";
import { OWN_ADDRESSES_UNKNOWN } from "../output/record.ts";

/**
 * Returns the warning if the server listens beyond loopback and the addresses of the
 * machine cannot be listed. With a log, the server's event has a line there.
 *
 * @throws {TypeError} if the options are invalid.
 */
export async function ownAddressesWarning(
  options: ServeOptions,
  transport: Transport,
): Promise<string | undefined> {
  const { isExposed } = await resolveSettings(options, transport);
  return isExposed && !new OwnAddresses(transport).areKnown
    ? `warning: ${OWN_ADDRESSES_UNKNOWN}`
    : undefined;
}
