/**
 * The beginning of a sorted list.
 *
 * @module
 */

/** What items are sorted by: all of a list have keys of the same type. */
export type SortKey = string | number;

/**
 * Returns the first `count` items in the order of their keys, or with the sign -1 in the
 * reverse order, without sorting all of them. Equal ones stay in their order.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(firstOf([5, 1, 4, 2], 2, (it) => it), [1, 2]);
 * assertEquals(firstOf([5, 1, 4, 2], 2, (it) => it, -1), [5, 4]);
 * ```
 */
export function firstOf<T>(
  items: readonly T[],
  count: number,
  keyOf: (item: T) => SortKey,
  sign: 1 | -1 = 1,
): T[] {
  const first: T[] = [];
  const keys: SortKey[] = [];
  if (count === 0) return first;
  for (const item of items) {
    const key = keyOf(item);
    if (first.length === count) {
      if (!isBefore(key, keys[count - 1], sign)) continue;
      first.pop();
      keys.pop();
    }
    const place = placeOf(key, keys, sign);
    first.splice(place, 0, item);
    keys.splice(place, 0, key);
  }
  return first;
}

function isBefore(one: SortKey, other: SortKey, sign: 1 | -1): boolean {
  return sign === 1 ? one < other : one > other;
}

/** The index before the first key that comes after this one. */
function placeOf(
  key: SortKey,
  sorted: readonly SortKey[],
  sign: 1 | -1,
): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBefore(key, sorted[middle], sign)) high = middle;
    else low = middle + 1;
  }
  return low;
}
