/**
 * How many files and sockets a process may have open.
 *
 * @module
 */

/** How many descriptors this process may have, by Linux's own account. */
export async function descriptorLimit(): Promise<number | undefined> {
  try {
    const { readFile } = await import("node:fs/promises");
    const limits = await readFile("/proc/self/limits", "utf8");
    return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1]) || undefined;
  } catch {
    return undefined;
  }
}
