/**
 * TLS sockets that can be paused.
 *
 * @module
 */

import type { Socket } from "node:net";
import { detectRuntime } from "../../transport/detect.ts";

/** An undocumented member of sockets. */
interface Handled {
  readonly _handle?: Partial<Record<"readStart" | "readStop", () => unknown>>;
}

/**
 * Lets a TLS socket that is paused stop the socket below it. On Deno it would go on receiving,
 * without a bound.
 */
export function boundReading(socket: Socket, lower: Socket): void {
  if (detectRuntime() !== "deno") return;
  const { _handle: handle } = socket as unknown as Handled;
  const { _handle: below } = lower as unknown as Handled;
  if (!handle || !below) return;
  for (const name of ["readStart", "readStop"] as const) {
    const own = handle[name];
    handle[name] = () => {
      below[name]?.();
      return own?.call(handle);
    };
  }
}
