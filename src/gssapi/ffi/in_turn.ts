/**
 * A bound on how many calls run at a time.
 *
 * @module
 */

/** Runs the work when its turn comes. */
export type InTurn = <T>(work: () => Promise<T>) => Promise<T>;

/** Returns a function that runs up to `most` pieces of work at a time, in order. */
export function inTurn(most: number): InTurn {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (running < most) running++;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next(); // it takes over this turn
      else running--;
    }
  };
}
