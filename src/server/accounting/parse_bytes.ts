/**
 * Numbers of bytes, and of bytes per second, as people write them.
 *
 * @module
 */

const BYTES = /^(\d+(?:\.\d+)?)(?:([kKMGT])(i?))?B?$/;

/** The pattern of the JSON Schema of rates. */
export const RATE_PATTERN: string =
  "^(\\d+(?:\\.\\d+)?)(?:([kKMG])(i?))?B?(?:/s)?$";

const RATE = new RegExp(RATE_PATTERN);

const EXPONENTS: Readonly<Record<string, number>> = { K: 1, M: 2, G: 3, T: 4 };

/**
 * Returns the bytes of `500k`, `10MB`, `10MiB` or `1.5T`, or `undefined` for any other
 * text. `k`, `M`, `G` and `T` are decimal and `Ki`, `Mi`, `Gi` and `Ti` binary (IEC
 * 80000-13). `B` means nothing more. Bits (`10Mb`, `10Mbit`) are refused, and less than a
 * byte: it would round to 0, which means no limit.
 */
export function parseBytes(text: string): number | undefined {
  const [, number, prefix = "", binary] = BYTES.exec(text) ?? [];
  if (number === undefined) return undefined;
  const base = binary ? 1024 : 1000;
  const factor = base ** (EXPONENTS[prefix.toUpperCase()] ?? 0);
  const bytes = Number(number) * factor;
  return bytes > 0 && bytes < 1 ? undefined : Math.round(bytes);
}

/** Returns the bytes per second of a text such as `500k`, `10MB/s` or `1.5G`. */
export function parseRate(text: string): number | undefined {
  return RATE.test(text) ? parseBytes(text.replace(/\/s$/, "")) : undefined;
}
