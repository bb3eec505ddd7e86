/**
 * IPv4 addresses in disguise: unusual spellings that resolvers accept.
 *
 * @module
 */

/** The ways to write a part; it may also be in upper case. */
const BASES: readonly ((value: number, zeros: number) => string)[] = [
  (value) => `${value}`,
  (value, zeros) => `0${"0".repeat(zeros)}${value.toString(8)}`,
  (value, zeros) => `0x${"0".repeat(zeros)}${value.toString(16)}`,
];

/** The values of the first octets, and the rest of the octets as one value. */
function parts(octets: readonly number[], count: number): number[] {
  const rest = octets.slice(count - 1);
  return [
    ...octets.slice(0, count - 1),
    rest.reduce((value, octet) => value * 256 + octet, 0),
  ];
}

/**
 * All 240 spellings: each number of parts with each base for each part, without
 * and with a trailing dot.
 */
export function disguises(octets: readonly number[]): string[] {
  return [1, 2, 3, 4].flatMap((count) => {
    const heads = parts(octets, count).reduce(
      (texts, value) =>
        texts.flatMap((text) => BASES.map((base) => [...text, base(value, 0)])),
      [[]] as string[][],
    );
    return heads.map((it) => it.join(".")).flatMap((it) => [it, `${it}.`]);
  });
}

/** A random one of {@linkcode disguises}, possibly with more zeros or in upper case. */
export function disguise(
  octets: readonly number[],
  next: (limit: number) => number,
): string {
  const text = parts(octets, 1 + next(4))
    .map((value) => BASES[next(3)](value, next(4)))
    .join(".") + (next(2) === 0 ? "" : ".");
  return next(2) === 0 ? text : text.toUpperCase();
}
