/**
 * A bridge for this process alone: on loopback, with a random login.
 *
 * @module
 */

import { SocksError } from "../../client/error.ts";
import type { Endpoint } from "../../protocol/address.ts";
import { NetError } from "../../transport/errors.ts";
import type { Conn } from "../../transport/transport.ts";
import { Failures } from "./failures.ts";
import type { HopDialer } from "../../client/mod.ts";
import type { Probe } from "./way.ts";

/** A running private bridge. */
export interface PrivateBridge {
  /** Its URL, with the login. */
  readonly url: string;
  readonly failures: Failures;
  readonly probe: Probe;
  close(): Promise<void>;
}

/** Opens a private bridge. `refuse` may answer in place of a target that was not reached. */
export async function openPrivateBridge(
  scheme: "http" | "socks5h",
  dialer: HopDialer,
  refuse?: (error: Error) => Conn,
): Promise<PrivateBridge> {
  const { bridge } = await import("../bridge/mod.ts");
  const failures = new Failures();
  const probe = { hostname: `${secret()}.invalid`, arrived: false };
  const connect = async (
    target: Endpoint,
    context: { readonly signal: AbortSignal },
  ) => {
    if (target.hostname === probe.hostname) {
      probe.arrived = true;
      throw new NetError("refused", "a probe");
    }
    try {
      return await dialer.connect(target, context);
    } catch (error) {
      if (!(error instanceof SocksError)) throw error;
      failures.add(error, target);
      if (refuse) return refuse(error);
      throw error;
    }
  };
  const isHttp = scheme === "http";
  const auth = { username: secret(), password: secret() };
  const { addr, close } = await bridge({ connect }, {
    http: isHttp,
    socks: !isHttp,
    auth,
  });
  return {
    url: `${scheme}://${auth.username}:${auth.password}@127.0.0.1:${addr.port}`,
    failures,
    probe,
    close,
  };
}

function secret(): string {
  const octets = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(octets, (it) => it.toString(16).padStart(2, "0")).join("");
}
