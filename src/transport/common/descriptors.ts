/**
 * How many files and sockets a process may have open.
 *
 * @module
 */

/**
 * Returns the soft limit of this process for open descriptors as Linux reports it,
 * or `undefined` on other systems. `readFile` returns the text of a file.
 */
export async function descriptorLimit(
  readFile: (path: string) => string | Promise<string>,
): Promise<number | undefined> {
  try {
    const limits = await readFile("/proc/self/limits");
    return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1]) || undefined;
  } catch {
    return undefined;
  }
}
