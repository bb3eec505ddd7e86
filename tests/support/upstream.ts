/**
 * Dialers: through a real proxy, and custom ones.
 *
 * @module
 */

import { socks } from "../../src/client/mod.ts";
import type { Endpoint } from "../../src/protocol/address.ts";
import type { DialedAssociation, Dialer } from "../../src/server/mod.ts";
import type { TestServer } from "./server.ts";

/** A dialer with all commands. */
export type FullDialer = Required<Omit<Dialer, "resolvesNames">>;

/** A dialer through a server of this library. */
export function through(
  { server }: TestServer,
  protocol = "socks5h",
): FullDialer {
  return socks(`${protocol}://127.0.0.1:${server.addr.port}`);
}

/** A dialer whose methods reject unless they are given. */
export function dialer(methods: Partial<Dialer>): FullDialer {
  const unexpected = () => Promise.reject(new Error("an unexpected call"));
  return {
    connect: unexpected,
    bind: unexpected,
    udpAssociate: unexpected,
    resolve: unexpected,
    reverse: unexpected,
    ...methods,
  };
}

type Received = readonly [payload: Uint8Array, from: Endpoint];

/** An association whose datagrams, and end, come from the test. */
export class ScriptedAssociation implements DialedAssociation {
  /** The datagrams that were sent. */
  readonly sent: { readonly payload: Uint8Array; readonly to: Endpoint }[] = [];
  /** How often it was closed. */
  closed = 0;
  readonly #results: (() => IteratorResult<Received>)[] = [];
  #wake = () => {};

  send(payload: Uint8Array, to: Endpoint): Promise<void> {
    this.sent.push({ payload, to });
    return Promise.resolve();
  }

  /** Yields a datagram. */
  receive(payload: Uint8Array, from: Endpoint): void {
    this.#push(() => ({ done: false, value: [payload, from] }));
  }

  /** Ends the iteration. */
  end(): void {
    this.#push(() => ({ done: true, value: undefined }));
  }

  /** Breaks the iteration off. */
  fail(error: unknown): void {
    this.#push(() => {
      throw error;
    });
  }

  close(): void {
    this.closed++;
    this.end();
  }

  #push(result: () => IteratorResult<Received>): void {
    this.#results.push(result);
    this.#wake();
  }

  [Symbol.asyncIterator](): AsyncIterator<Received> {
    return { next: () => this.#next() };
  }

  async #next(): Promise<IteratorResult<Received>> {
    while (this.#results.length === 0) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return this.#results.shift()!();
  }
}
