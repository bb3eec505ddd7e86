/**
 * Calls of `http:` URLs on Bun by the Unix sockets of their origins.
 *
 * @module
 */

import { SocksError } from "../../client/error.ts";
import type { HopDialer } from "../../client/mod.ts";
import type { Endpoint } from "../../protocol/address.ts";
import { detectTransport } from "../../transport/detect.ts";
import { NetError } from "../../transport/errors.ts";
import type { Conn } from "../../transport/transport.ts";
import { targetOf } from "./failures.ts";
import { Origins } from "./origins.ts";
import { followRedirects, isRepeatable } from "./redirects.ts";
import { type Connect, Tunnels } from "./tunnels.ts";
import { closedError, type Start, type Way } from "./way.ts";

/** Returns a way that leads calls of `http:` URLs by sockets if that is possible. */
export function withOrigins(way: Way, dialer: HopDialer): Way {
  const sockets = new LazyOrigins(way, dialer);
  return {
    ...way,
    async watch(call, start) {
      // Bun follows redirects to other origins by the same socket.
      const isOurs = /^http:/i.test(call.url) && isRepeatable(call);
      const origins = isOurs && await sockets.open(start);
      if (!origins) return await start();
      return await followRedirects(call, async (step) => {
        sockets.check(); // the call may have been redirected meanwhile
        if (step.url.protocol !== "http:") return await start(step);
        try {
          return await origins.use(
            targetOf(step.url.href),
            (path) => start({ ...step, way: { unix: path } }),
          );
        } catch (error) {
          if (!isUnsent(error)) throw error;
        }
        sockets.check();
        return await start(step); // by the bridge
      });
    },
    async close() {
      await sockets.close();
      await way.close();
    },
  };
}

/** The system's errors for a socket that is gone, or has too many new connections. */
const UNSENT = new Set(["ENOENT", "ECONNREFUSED", "EAGAIN"]);

/** Whether there was no socket to send the request by; those of targets are reset. */
function isUnsent(error: unknown): boolean {
  return error instanceof NetError ||
    UNSENT.has((error as { code?: string }).code ?? "");
}

const PROBE = "probe.invalid";

/** Sockets that are opened by the first call that needs them. */
class LazyOrigins {
  readonly #way: Way;
  readonly #dialer: HopDialer;
  #opening: Promise<Origins | undefined> | undefined;
  #hasArrived = false;
  #closed = false;

  constructor(way: Way, dialer: HopDialer) {
    this.#way = way;
    this.#dialer = dialer;
  }

  /** @throws {TypeError} after close(). */
  check(): void {
    if (this.#closed) throw closedError();
  }

  /** Resolves with `undefined` if there can be none. Never rejects. */
  open(start: Start): Promise<Origins | undefined> {
    this.check();
    return this.#opening ??= this.#open(start).catch(() => undefined);
  }

  async #open(start: Start): Promise<Origins | undefined> {
    const transport = await detectTransport();
    const connect: Connect = (target, options) =>
      this.#connect(target, options);
    const onError = (error: unknown, target: Endpoint) => {
      if (error instanceof SocksError) this.#way.failures?.add(error, target);
    };
    const tunnels = new Tunnels(transport, connect, onError);
    const origins = await Origins.open(transport, tunnels);
    const input = `http://${PROBE}/`;
    // Something may have replaced fetch() that does not know the option.
    const probe = (unix: string) => start({ input, init: {}, way: { unix } });
    await origins.use(targetOf(input), probe).catch(() => {});
    if (this.#hasArrived) return origins;
    await origins.close();
  }

  async #connect(...[target, options]: Parameters<Connect>): Promise<Conn> {
    const isProbe = !this.#hasArrived && target.hostname === PROBE;
    if (!isProbe) return await this.#dialer.connect(target, options);
    this.#hasArrived = true;
    throw new Error("a probe");
  }

  async close(): Promise<void> {
    this.#closed = true;
    await (await this.#opening)?.close();
  }
}
