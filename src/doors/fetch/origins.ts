/**
 * Unix sockets that lead to the origins of `http:` URLs: a client that uses them keeps its
 * connections to the targets alive, which an HTTP proxy does not.
 *
 * @module
 */

import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { Endpoint } from "../../protocol/address.ts";
import type { Listener, Transport } from "../../transport/transport.ts";
import type { Tunnels } from "./tunnels.ts";

/** How many origins have a socket at the same time. */
const MAX_ORIGINS = 64;

/** The socket of an origin. */
interface Origin {
  readonly path: string;
  readonly listener: Listener;
  /** How many calls may open a connection. */
  calls: number;
}

/** Opens the sockets when they are needed. */
export class Origins {
  readonly #folder: string;
  readonly #transport: Transport;
  readonly #tunnels: Tunnels;
  /** By host and port; the latest last. */
  readonly #all = new Map<string, Promise<Origin>>();
  #count = 0;

  /** Creates a folder that only this user can enter. */
  static async open(transport: Transport, tunnels: Tunnels): Promise<Origins> {
    const folder = await mkdtemp(join(tmpdir(), "socks5-"));
    return new Origins(folder, transport, tunnels);
  }

  private constructor(
    folder: string,
    transport: Transport,
    tunnels: Tunnels,
  ) {
    this.#folder = folder;
    this.#transport = transport;
    this.#tunnels = tunnels;
    process.on("exit", this.#removeFolder);
  }

  readonly #removeFolder = () =>
    rmSync(this.#folder, { recursive: true, force: true });

  /**
   * Calls a function with the path of the socket that leads to the target, and returns its
   * result. The socket exists until the result has resolved, and connections longer.
   */
  async use<T>(
    target: Endpoint,
    call: (path: string) => Promise<T>,
  ): Promise<T> {
    const origin = await this.#find(target);
    origin.calls++;
    try {
      return await call(origin.path);
    } finally {
      origin.calls--;
    }
  }

  #find(target: Endpoint): Promise<Origin> {
    const key = `${target.hostname}:${target.port}`;
    const found = this.#all.get(key) ?? this.#open(target);
    this.#all.delete(key);
    this.#all.set(key, found);
    if (this.#all.size > MAX_ORIGINS) void this.#dropOne();
    found.catch(() => this.#all.delete(key));
    return found;
  }

  async #open(target: Endpoint): Promise<Origin> {
    const path = join(this.#folder, `${++this.#count}`);
    const listener = await this.#transport.listen(
      { hostname: `unix:${path}`, port: 0 },
      (conn) => void this.#tunnels.serve(conn, target),
    );
    return { path, listener, calls: 0 };
  }

  /** Drops the origin that was not used for the longest time. */
  async #dropOne(): Promise<void> {
    for (const [key, opening] of this.#all) {
      const origin = await opening.catch(() => undefined);
      if (origin?.calls !== 0 || this.#all.get(key) !== opening) continue;
      this.#all.delete(key);
      return await origin.listener.close();
    }
  }

  async close(): Promise<void> {
    process.off("exit", this.#removeFolder);
    const all = [...this.#all.values()];
    this.#all.clear();
    this.#tunnels.close();
    for (const it of await Promise.allSettled(all)) {
      if (it.status === "fulfilled") await it.value.listener.close();
    }
    this.#removeFolder();
  }
}
