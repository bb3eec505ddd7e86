/**
 * Which targets a proxy is asked for.
 *
 * @module
 */

import { type Endpoint, isIp } from "../../protocol/address.ts";
import type { Transport } from "../../transport/transport.ts";
import { OwnTargets } from "./targets.ts";

/** The targets of a check: one that is given, or listeners of this process. */
export class Places {
  /** The target that the user has named. */
  readonly given: Endpoint | undefined;
  /** The listeners, unless there is a given target. */
  own: OwnTargets | undefined;
  /** The address of this machine towards the proxy. */
  self = "";
  /** Whether the proxy is reached otherwise than by the loopback interface. */
  isExposed = false;

  constructor(given: Endpoint | undefined) {
    this.given = given;
  }

  /** Opens the listeners at the addresses at which the proxy may reach them. */
  async open(transport: Transport): Promise<void> {
    if (this.given) return;
    const addresses = this.isExposed
      ? [this.self, await otherAddress(transport, this.self)]
      : ["127.0.0.1", "::1"];
    this.own = await OwnTargets.open(transport, addresses);
  }

  async close(): Promise<void> {
    await this.own?.close();
  }

  /** A target of an IP version, or of any. */
  target(version?: 4 | 6): Endpoint | undefined {
    const { given, own } = this;
    if (given) {
      const isOther = version !== undefined && isIp(given.hostname) !== version;
      return isOther ? undefined : given;
    }
    const tcp = own?.tcp;
    return version === undefined
      ? tcp?.get(4) ?? tcp?.get(6)
      : tcp?.get(version);
  }

  /** A target by name. */
  named(): Endpoint | undefined {
    const { given } = this;
    if (given) return isIp(given.hostname) === 0 ? given : undefined;
    if (this.isExposed) return undefined; // the proxy knows no name of this machine
    const port = this.target()?.port;
    return port === undefined ? undefined : { hostname: "localhost", port };
  }

  /** Why there is no target of an IP version. */
  missing(version: 4 | 6): string {
    return this.given
      ? `the target is no IPv${version} address`
      : `this machine has no IPv${version} address for it`;
  }
}

/** Documentation addresses (RFC 5737, RFC 3849), to which the default routes lead. */
const FAR = { 4: "192.0.2.1", 6: "2001:db8::1" } as const;

/** This machine's address of the other IP version; `""` if it has none. */
async function otherAddress(
  transport: Transport,
  self: string,
): Promise<string> {
  try {
    return await transport.sourceAddress(FAR[isIp(self) === 4 ? 6 : 4]);
  } catch {
    return "";
  }
}
