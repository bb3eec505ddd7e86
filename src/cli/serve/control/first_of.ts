/**
 * The beginning of a sorted list.
 *
 * @module
 */

/**
 * Returns the first `count` items in the order of `compare`, without sorting all of them.
 * Equal ones stay in their order.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(firstOf([5, 1, 4, 2], 2, (a, b) => a - b), [1, 2]);
 * ```
 */
export function firstOf<T>(
  items: readonly T[],
  count: number,
  compare: (a: T, b: T) => number,
): T[] {
  const first: T[] = [];
  if (count === 0) return first;
  for (const item of items) {
    if (first.length === count) {
      if (compare(item, first[count - 1]) >= 0) continue;
      first.pop();
    }
    first.splice(placeOf(item, first, compare), 0, item);
  }
  return first;
}

/** The index before the first item that comes after this one. */
function placeOf<T>(
  item: T,
  sorted: readonly T[],
  compare: (a: T, b: T) => number,
): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(item, sorted[middle]) < 0) high = middle;
    else low = middle + 1;
  }
  return low;
}
