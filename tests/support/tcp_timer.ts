/**
 * The timers of connections in Linux.
 *
 * @module
 */

import { execFileSync } from "node:child_process";
import type { Conn } from "../../src/transport/transport.ts";

/** Returns the timer of a connection in Linux: "00" for none, "02" for keepalive. */
export function timerOf(
  { localAddr, remoteAddr }: Pick<Conn, "localAddr" | "remoteAddr">,
): string {
  const [ours, theirs] = [localAddr, remoteAddr].map(({ port }) =>
    port.toString(16).toUpperCase().padStart(4, "0")
  );
  // By a program, because Deno reads files in /proc only with all permissions.
  const files = ["/proc/net/tcp", "/proc/net/tcp6"];
  const ends = `:${ours} [0-9A-F]*:${theirs} `;
  const found = execFileSync("grep", ["-h", ends, ...files]).toString();
  return found.trim().split(/ +/)[5].slice(0, 2);
}
