/**
 * UDP, which does not go through the proxy and therefore nowhere.
 *
 * @module
 */

import dgram from "node:dgram";
import { refusal } from "./refusal.ts";
import type { Directions } from "./sockets.ts";

type Callback = (error: Error) => void;
type Method = (this: dgram.Socket, ...args: unknown[]) => unknown;

/** Lets the sockets of `node:dgram` send only to targets that are direct. */
export function refuseDatagrams({ isDirect }: Directions): void {
  const { prototype } = dgram.Socket;
  const refuse = (
    method: "send" | "connect",
    addressed: (args: unknown[]) => unknown[],
  ) => {
    const original = prototype[method] as Method;
    const patched: Method = function (...args) {
      const [port, address, last] = addressed(args);
      const callback = [port, address, last].find(isFunction) as
        | Callback
        | undefined;
      // A connected socket has been through here.
      const isConnected = port === undefined || isFunction(port);
      const target = { hostname: hostOf(this, address), port: Number(port) };
      if (isConnected || isDirect(target)) return original.apply(this, args);
      const error = refusal(`UDP to ${target.hostname}`);
      queueMicrotask(() =>
        callback ? callback(error) : this.emit("error", error)
      );
    };
    (prototype as unknown as Record<string, unknown>)[method] = patched;
  };
  refuse("connect", (args) => args);
  refuse("send", ([_message, ...rest]) => {
    // Offset and length may come before the port.
    const [, , third, fourth] = rest;
    const isLong = fourth || third && !isFunction(third);
    return isLong ? rest.slice(2) : rest;
  });
}

function isFunction(it: unknown): boolean {
  return typeof it === "function";
}

function hostOf(socket: dgram.Socket, address: unknown): string {
  if (typeof address === "string" && address) return address;
  const { type } = socket as unknown as { type?: string };
  return type === "udp6" ? "::1" : "127.0.0.1";
}
