/**
 * Places to listen that are no TCP port.
 *
 * @module
 */

/** A Unix socket, or a socket that another process has opened. */
export type LocalPlace = { readonly path: string } | { readonly fd: number };

/**
 * Parses `unix:PATH` and `fd:NUMBER`; returns `undefined` for any other hostname.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(localPlace("unix:/run/socks5.sock"), { path: "/run/socks5.sock" });
 * assertEquals(localPlace("fd:3"), { fd: 3 });
 * assertEquals(localPlace("127.0.0.1"), undefined);
 * ```
 */
export function localPlace(hostname: string): LocalPlace | undefined {
  const [, path, fd] = /^(?:unix:([^\0]+)|fd:(\d{1,4}))$/.exec(hostname) ?? [];
  if (path !== undefined) return { path };
  return fd === undefined ? undefined : { fd: Number(fd) };
}
