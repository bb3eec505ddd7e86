/**
 * Sets of numbers as ranges, and boxes: the products of such sets, one for each dimension.
 *
 * @module
 */

/** A number of a dimension; all numbers of a dimension have the same type. */
export type Coordinate = number | bigint;
/** From the first number to before the second. */
export type Range = readonly [start: Coordinate, end: Coordinate];
/** A set of numbers: disjoint ranges in ascending order, at least one in a box. */
export type Ranges = readonly Range[];
/** All points whose coordinates are in the sets of their dimensions. */
export type Box = readonly Ranges[];

/** Returns the union of ranges that may overlap and have any order. */
export function unionOf(ranges: readonly Range[]): Ranges {
  const sorted = [...ranges].sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0);
  const union: [Coordinate, Coordinate][] = [];
  for (const [start, end] of sorted) {
    const last = union.at(-1);
    if (!last || start > last[1]) union.push([start, end]);
    else if (end > last[1]) last[1] = end;
  }
  return union;
}

function intersection(a: Ranges, b: Ranges): Ranges {
  const common: Range[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    const start = a[i][0] > b[j][0] ? a[i][0] : b[j][0];
    const end = a[i][1] < b[j][1] ? a[i][1] : b[j][1];
    if (start < end) common.push([start, end]);
    if (a[i][1] < b[j][1]) i++;
    else j++;
  }
  return common;
}

/** Returns the numbers of `a` that are not in `b`. */
function difference(a: Ranges, b: Ranges): Ranges {
  const rest: Range[] = [];
  let j = 0;
  for (const [first, end] of a) {
    let start = first;
    while (j < b.length && b[j][1] <= start) j++;
    for (let k = j; k < b.length && b[k][0] < end; k++) {
      if (b[k][0] > start) rest.push([start, b[k][0]]);
      start = b[k][1];
    }
    if (start < end) rest.push([start, end]);
  }
  return rest;
}

/** Whether all points of `inner` are in `outer`. */
export function contains(outer: Box, inner: Box): boolean {
  return inner.every((ranges, i) => difference(ranges, outer[i]).length === 0);
}

/** Whether two boxes have a point in common. */
export function overlaps(a: Box, b: Box): boolean {
  for (let i = 0; i < a.length; i++) {
    if (!meet(a[i], b[i])) return false;
  }
  return true;
}

function meet(a: Ranges, b: Ranges): boolean {
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i][0] < b[j][1] && b[j][0] < a[i][1]) return true;
    if (a[i][1] < b[j][1]) i++;
    else j++;
  }
  return false;
}

/** Returns the two opposite corners of a box, as boxes of one point. */
export function cornersOf(box: Box): readonly Box[] {
  return [
    box.map((ranges) => [pointAt(ranges[0][0])]),
    box.map((ranges) => [pointBefore(ranges.at(-1)![1])]),
  ];
}

function pointAt(start: Coordinate): Range {
  return typeof start === "bigint" ? [start, start + 1n] : [start, start + 1];
}

function pointBefore(end: Coordinate): Range {
  return typeof end === "bigint" ? [end - 1n, end] : [end - 1, end];
}

/** Returns the number of ranges of a box, which is the cost of comparing it. */
export function sizeOf(box: Box): number {
  return box.reduce((sum, { length }) => sum + length, 0);
}

/** Returns disjoint boxes that contain the points of `box` outside `cover`. */
export function without(box: Box, cover: Box): readonly Box[] {
  if (!overlaps(box, cover)) return [box];
  const common = box.map((ranges, i) => intersection(ranges, cover[i]));
  return box.flatMap((ranges, i) => {
    const rest = difference(ranges, cover[i]);
    if (rest.length === 0) return [];
    return [[...common.slice(0, i), rest, ...box.slice(i + 1)]];
  });
}
