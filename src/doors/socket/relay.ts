/**
 * Sockets whose bytes travel inside TLS to a proxy, by another socket.
 *
 * @module
 */

import type { Socket } from "node:net";
import { closedError } from "../../transport/errors.ts";
import type { Dial } from "./dial.ts";

type Callback = (error?: Error | null) => void;

/** The connection below such a socket. */
export class Relay {
  /** The connection to the first proxy. */
  readonly raw: Socket;
  readonly #dial: Dial;
  readonly #outer: Socket;
  /** The connection to the target, once it is open. */
  #inner: Socket | undefined;

  constructor(raw: Socket, dial: Dial, outer: Socket) {
    this.raw = raw;
    this.#dial = dial;
    this.#outer = outer;
  }

  /** Takes over the open connection to the target. */
  adopt(inner: Socket): void {
    const outer = this.#outer;
    this.#inner = inner;
    inner.on("data", (chunk) => {
      refreshTimeout(outer);
      if (!outer.push(chunk)) inner.pause();
    });
    inner.on("error", (error) => outer.destroy(error));
    // Deno closes a connection that is read late without the event `end`.
    const end = () => outer.push(null);
    inner.once("end", end);
    inner.once("close", (hadError) => {
      if (hadError) outer.destroy();
      else if (inner.listenerCount("end", end) > 0) end();
    });
  }

  /** Resumes reading. */
  read(): void {
    this.#inner?.resume();
  }

  write(chunk: Uint8Array, encoding: BufferEncoding, callback: Callback): void {
    refreshTimeout(this.#outer);
    const write = (inner: Socket) => inner.write(chunk, encoding, callback);
    this.#whenOpen(write, callback);
  }

  end(callback: Callback): void {
    const end = (inner: Socket) => {
      // Deno ends it by itself when the peer has.
      if (inner.writableEnded) callback();
      else inner.end(callback);
    };
    this.#whenOpen(end, callback);
  }

  #whenOpen(use: (inner: Socket) => void, callback: Callback): void {
    if (this.#inner) return use(this.#inner);
    const outer = this.#outer;
    const onClose = () => callback(closedError());
    outer.once("close", onClose);
    outer.once("connect", () => {
      outer.off("close", onClose);
      use(this.#inner!);
    });
  }

  /** Closes the connection, or ends the dial. */
  destroy(): void {
    if (this.#inner) this.#inner.destroy();
    else this.#dial.abort(closedError());
    this.raw.destroy();
  }
}

/** The timer of `setTimeout()`, which the runtimes restart at each byte. */
function refreshTimeout(socket: Socket): void {
  (socket as { _unrefTimer?(): void })._unrefTimer?.();
}
