/**
 * A target whose connections are made when a test says so.
 *
 * @module
 */

import { detectTransport } from "../../src/transport/detect.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { startTarget, type Target } from "../support/server.ts";
import { deferred } from "../support/world.ts";
import { until } from "../transport/contract.ts";

/** A target for one connection. */
export interface LateTarget {
  readonly target: Target;
  readonly dialer: { connect(): Promise<Conn> };
  /** Resolves when the dialer has connected, and not yet resolved. */
  readonly connected: Promise<void>;
  /** Lets the dialer resolve. */
  resolve(): void;
  /** Passes when the connection is closed, and closes the target. */
  assertClosed(): Promise<void>;
}

/** Starts it. */
export async function startLateTarget(): Promise<LateTarget> {
  const transport = await detectTransport();
  const target = await startTarget();
  const connected = deferred<void>();
  const released = deferred<void>();
  const connect = async () => {
    const conn = await transport.connect(target.addr);
    connected.resolve();
    await released.promise;
    return conn;
  };
  return {
    target,
    dialer: { connect },
    connected: connected.promise,
    resolve: () => released.resolve(),
    async assertClosed() {
      const conn = await target.accepted();
      let isClosed = false;
      void drained(conn).then(() => isClosed = true);
      await until(() => isClosed);
      await target.close();
    },
  };
}

async function drained(conn: Conn): Promise<void> {
  let chunk: Uint8Array | null;
  do chunk = await conn.read().catch(() => null); while (chunk);
}
