/**
 * Node.js: a dispatcher for the undici that it has built in.
 *
 * @module
 */

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { dispatcher } from "../undici/mod.ts";
import { Failures, targetOf } from "./failures.ts";
import type { Route } from "./options.ts";
import { socksErrorIn, type Way } from "./way.ts";

/** What undici publishes when a connection could not be opened. */
interface ConnectError {
  readonly error: Error;
  readonly connectParams: {
    /** The host of the URL and its port, unless it is the default one. */
    readonly host: string;
    readonly protocol: string;
  };
}

const CONNECT_ERROR = "undici:client:connectError";

/** Opens the way on Node.js. */
export function openWay({ hops, options }: Route): Promise<Way> {
  const through = dispatcher(hops, options);
  const failures = new Failures();
  // The event of a WebSocket does not have the error.
  const onError = (message: unknown) => {
    const { error, connectParams } = message as ConnectError;
    const { protocol, host } = connectParams;
    const cause = socksErrorIn(error);
    if (cause) failures.add(cause, targetOf(`${protocol}//${host}`));
  };
  subscribe(CONNECT_ERROR, onError);
  let hasArrived = false;
  const probe = {
    dispatch() {
      hasArrived = true;
      throw new Error("a probe");
    },
  };
  return Promise.resolve({
    init: { dispatcher: through },
    call: (start) => start(),
    failures,
    probe: {
      host: "probe.invalid",
      init: { dispatcher: probe },
      hasArrived: () => hasArrived,
    },
    close() {
      unsubscribe(CONNECT_ERROR, onError);
      return through.destroy();
    },
  });
}
