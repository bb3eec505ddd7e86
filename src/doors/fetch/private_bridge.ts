/**
 * A bridge for this process alone: on loopback, with a random login.
 *
 * @module
 */

import { SocksError } from "../../client/error.ts";
import type { Endpoint } from "../../protocol/address.ts";
import { NetError } from "../../transport/errors.ts";
import { FailedTargets } from "./failed_target.ts";
import { Failures, targetOf } from "./failures.ts";
import type { HopDialer } from "../../client/mod.ts";
import type { Probe } from "./way.ts";

/** The context of a call of the server's dialer, as far as it is used here. */
interface DialContext {
  readonly signal: AbortSignal;
  readonly session: { readonly command?: string };
}

/** A running private bridge. */
export interface PrivateBridge {
  /** Its URL, with the login. */
  readonly url: string;
  readonly failures: Failures;
  readonly probe: Probe;
  /** Why the target of an `http:` URL has not answered; `undefined` if it has. */
  errorIn(response: Response): unknown;
  close(): Promise<void>;
}

/** Opens a private bridge, whose first connection is to the host of the probe. */
export async function openPrivateBridge(
  dialer: HopDialer,
  host: string,
): Promise<PrivateBridge> {
  const { bridge } = await import("../bridge/mod.ts");
  const failures = new Failures();
  const failedTargets = new FailedTargets();
  const { hostname, port } = targetOf(`http://${host}`);
  let hasArrived = false;
  const dial = async (target: Endpoint, signal: AbortSignal) => {
    const isProbe = target.hostname === hostname && target.port === port;
    if (isProbe && !hasArrived) {
      hasArrived = true;
      throw new NetError("refused", "a probe");
    }
    try {
      return await dialer.connect(target, { signal });
    } catch (error) {
      if (error instanceof SocksError) failures.add(error, target);
      throw error;
    }
  };
  const connect = (target: Endpoint, { signal, session }: DialContext) => {
    const conn = dial(target, signal);
    if (session.command !== "forward") return conn;
    return conn.then(
      (it) => failedTargets.reached(it),
      (error) => failedTargets.unreached(error),
    );
  };
  const auth = { username: secret(), password: secret() };
  const { addr, close } = await bridge({ connect }, {
    http: true,
    socks: false,
    auth,
  });
  return {
    url: `http://${auth.username}:${auth.password}@127.0.0.1:${addr.port}`,
    failures,
    probe: { host, hasArrived: () => hasArrived },
    errorIn: (response) => failedTargets.errorIn(response),
    close,
  };
}

function secret(): string {
  const octets = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(octets, (it) => it.toString(16).padStart(2, "0")).join("");
}
