/**
 * The flow of octets from a socket.
 *
 * @module
 */

import type { Socket } from "node:net";

/** Undocumented members; without them, the public methods are used. */
interface Internals {
  /** The socket below one of TLS. */
  readonly _parent?: Socket & Internals;
  readonly _handle?: { readStart?(): void; readStop?(): void } | null;
}

/** Returns functions that pause a socket and let it go on. */
export function flowOf(socket: Socket): { pause(): void; resume(): void } {
  const raw = below(socket);
  if (raw === socket) {
    return {
      pause: () => void socket.pause(),
      resume: () => void socket.resume(),
    };
  }
  // A TLS socket of Deno that is paused goes on receiving, without a bound.
  const call = (name: "readStart" | "readStop", other: "resume" | "pause") => {
    const handle = raw._handle;
    if (handle?.[name]) handle[name]();
    else socket[other]();
  };
  return {
    pause: () => call("readStop", "pause"),
    resume: () => call("readStart", "resume"),
  };
}

function below(socket: Socket & Internals): Socket & Internals {
  let raw = socket;
  while (raw._parent) raw = raw._parent;
  return raw;
}
