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
import { closedError } from "./way.ts";

/** How many origins have a socket at the same time. */
const MAX_ORIGINS = 64;

/** An origin and its socket. */
interface Origin {
  readonly path: string;
  readonly listener: Promise<Listener>;
  /** How many calls may open a connection. */
  calls: number;
}

/** Opens the sockets when they are needed. */
export class Origins {
  readonly #folder: string;
  readonly #transport: Transport;
  readonly #tunnels: Tunnels;
  /** By host and port; the latest last. */
  readonly #all = new Map<string, Origin>();
  #count = 0;
  #closed = false;

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
    const origin = this.#take(target);
    try {
      await origin.listener;
      return await call(origin.path);
    } finally {
      origin.calls--;
    }
  }

  /** Counts a call, so that the origin is not dropped. */
  #take(target: Endpoint): Origin {
    if (this.#closed) throw closedError(); // the call was redirected meanwhile
    const key = `${target.hostname}:${target.port}`;
    const found = this.#all.get(key) ?? this.#open(key, target);
    this.#all.delete(key);
    this.#all.set(key, found);
    found.calls++;
    if (this.#all.size > MAX_ORIGINS) this.#dropOne();
    return found;
  }

  #open(key: string, target: Endpoint): Origin {
    const path = join(this.#folder, `${++this.#count}`);
    const listener = this.#transport.listen(
      { hostname: `unix:${path}`, port: 0 },
      (conn) => void this.#tunnels.serve(conn, target),
    );
    const origin = { path, listener, calls: 0 };
    listener.catch(() => {
      if (this.#all.get(key) === origin) this.#all.delete(key);
    });
    return origin;
  }

  /** Drops the origin that was not used for the longest time. */
  #dropOne(): void {
    for (const [key, { calls, listener }] of this.#all) {
      if (calls > 0) continue;
      this.#all.delete(key);
      return void listener.then((it) => it.close()).catch(() => {});
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    process.off("exit", this.#removeFolder);
    const all = [...this.#all.values()].map(({ listener }) => listener);
    this.#all.clear();
    this.#tunnels.close();
    for (const it of await Promise.allSettled(all)) {
      if (it.status === "fulfilled") await it.value.close();
    }
    this.#removeFolder();
  }
}
