/**
 * The errors and the timeout of proxies that Deno itself speaks to: its errors are texts, and
 * it waits for a proxy without a limit.
 *
 * @module
 */

import type { HopOptions } from "../../client/dialer.ts";
import { SocksError } from "../../client/error.ts";
import { errorAtHop } from "../../client/hops.ts";
import { DEFAULT_TIMEOUT } from "../../client/options.ts";
import { rejectedError } from "../../client/to_socks_error.ts";
import { systemClock } from "../../transport/clock.ts";
import { closeQuietly } from "../../transport/quiet.ts";
import { targetOf } from "./failures.ts";
import type { Route } from "./options.ts";
import type { Call, Way } from "./way.ts";

/** The texts of the replies 1 to 8. */
const REPLIES = [
  "General SOCKS server failure",
  "Connection not allowed by ruleset",
  "Network unreachable",
  "Host unreachable",
  "Connection refused",
  "TTL expired",
  "Command not supported",
  "Address type not supported",
];

/** A {@linkcode Way.watch}. */
export function watchDenoCalls(route: Route): NonNullable<Way["watch"]> {
  const { timeout = DEFAULT_TIMEOUT } = route.options;
  return async ({ url, init, signal: given }, start) => {
    const watch = new AbortController();
    const { signal } = watch;
    const giveUp = async () => {
      const error = await diagnose(route, url, { timeout: timeout / 2 });
      // Any other answer shows that the proxy works: the target may be slow.
      if (error?.code === "timeout") watch.abort(error);
    };
    const timer = systemClock.startTimeout(timeout / 2, giveUp);
    try {
      const either = given ? AbortSignal.any([given, signal]) : signal;
      return await start({ init: { ...init, signal: either } });
    } catch (error) {
      if (given?.aborted) throw error;
      if (signal.aborted) throw signal.reason;
      const reason = await explain(error, route, url, given);
      throw given?.aborted ? given.reason : reason;
    } finally {
      timer.cancel();
    }
  };
}

async function explain(
  error: unknown,
  route: Route,
  url: string,
  signal: Call["signal"],
): Promise<unknown> {
  const { message, cause } = error as { message?: string; cause?: Error };
  const text = cause?.message ?? message ?? "";
  if (!text.includes("(Connect)")) return error;
  const reply = 1 + REPLIES.findIndex((it) => text.endsWith(`: ${it}`));
  if (reply === 0) {
    return await diagnose(route, url, { signal: signal ?? undefined }) ?? error;
  }
  return errorAtHop(rejectedError(5, reply, "request"), 1, route.hops);
}

/** Connects to the target of a call that has failed or does not end, to find out why. */
async function diagnose(
  { dialer }: Route,
  url: string,
  options: HopOptions,
): Promise<SocksError | undefined> {
  try {
    closeQuietly(await dialer.connect(targetOf(url), options));
  } catch (error) {
    if (error instanceof SocksError) return error;
  }
  return undefined;
}
