/**
 * Numbers of bytes per second as flags and configuration files have them.
 *
 * @module
 */

/** The pattern of the JSON Schema. */
export const RATE_PATTERN: string =
  "^(\\d+(?:\\.\\d+)?)(?:([kKMG])(i?))?B?(?:/s)?$";

const RATE = new RegExp(RATE_PATTERN);

const EXPONENTS: Readonly<Record<string, number>> = { K: 1, M: 2, G: 3 };

/**
 * Returns the bytes of `500k`, `10MB`, `10MiB/s` or `1.5G`, or `undefined` for any other
 * text. `k`, `M` and `G` are decimal and `Ki`, `Mi` and `Gi` binary (IEC 80000-13). `B`
 * and `/s` mean nothing more. Bits (`10Mb`, `10Mbit`) are refused, and less than a byte: it
 * would round to 0, which means no limit.
 */
export function parseRate(text: string): number | undefined {
  const [, number, prefix = "", binary] = RATE.exec(text) ?? [];
  if (number === undefined) return undefined;
  const base = binary ? 1024 : 1000;
  const factor = base ** (EXPONENTS[prefix.toUpperCase()] ?? 0);
  const bytes = Number(number) * factor;
  return bytes > 0 && bytes < 1 ? undefined : Math.round(bytes);
}
