/**
 * The contract of relays between layers.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type {
  Address,
  Conn,
  Transport,
} from "../../../src/transport/transport.ts";
import {
  assertKind,
  assertSameOctets,
  connectedPair,
  join,
  pattern,
  readAll,
} from "../../support/conns.ts";
import { type Check, MIB, type RelayFunction } from "./check.ts";

/** A layer that a relay must not use: reading, writing and closing through it is an error. */
class Layer implements Conn {
  readonly inner: Conn;

  constructor(inner: Conn) {
    this.inner = inner;
  }

  get localAddr(): Address {
    return this.inner.localAddr;
  }

  get remoteAddr(): Address {
    return this.inner.remoteAddr;
  }

  unread(chunk: Uint8Array): void {
    this.inner.unread(chunk);
  }

  read = misused;
  peek = misused;
  write = misused;
  closeWrite = misused;
  close = misused;
  reset = misused;
}

function misused(): never {
  throw new Error("a relay must not use the layer");
}

/** The tests of relays between layers; see {@linkcode Conn.inner}. */
export function relaysBelowLayers(
  check: Check,
  what: string,
  relayOf: (transport: Transport) => RelayFunction,
): void {
  for (const [layers, wrap] of layerings) {
    check(`${what} moves bytes below ${layers}`, async (transport) => {
      const left = await connectedPair(transport);
      const right = await connectedPair(transport);
      const [a, b] = wrap(left.far, right.near);
      a.unread(pattern(10));
      b.unread(pattern(20));
      const relay = relayOf(transport)(a, b);
      const [up, down] = [pattern(2 * MIB, 1), pattern(MIB, 2)];
      const [, , gotUp, gotDown] = await Promise.all([
        left.near.write(up).then(() => left.near.closeWrite()),
        right.far.write(down).then(() => right.far.closeWrite()),
        readAll(right.far),
        readAll(left.near),
      ]);
      assertSameOctets(gotUp, join([pattern(10), up]));
      assertSameOctets(gotDown, join([pattern(20), down]));
      assertEquals((await relay.done).reason, "finished");
      assertEquals([relay.sent, relay.received], [2 * MIB + 10, MIB + 20]);
      await assertKind(left.far.read(), "closed");
      await assertKind(right.near.read(), "closed");
      await left.close();
      await right.close();
    });
  }
}

const layerings: [string, (a: Conn, b: Conn) => [Conn, Conn]][] = [
  ["layers on both sides", (a, b) => [new Layer(a), new Layer(b)]],
  ["layers on one side", (a, b) => [a, new Layer(new Layer(new Layer(b)))]],
];
