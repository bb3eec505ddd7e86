/**
 * Work for rate limiters.
 *
 * @module
 */

/** Lets bytes pass again and again, and counts them. */
export function drain(
  pass: (bytes: number) => Promise<void> | undefined,
  bytes: number,
): { passed: number; stop(): void } {
  let stopped = false;
  const drain = { passed: 0, stop: () => stopped = true };
  (async () => {
    for (;;) {
      await pass(bytes);
      if (stopped) return;
      drain.passed += bytes;
    }
  })();
  return drain;
}
