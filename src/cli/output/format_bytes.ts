/**
 * Numbers of bytes as the log prints them.
 *
 * @module
 */

const PREFIXES = ["", "k", "M", "G", "T", "P"] as const;

/**
 * Formats a number of bytes in four characters or less, with decimal prefixes: `999`,
 * `1.2k`, `34k`, `567M`. It is cut, not rounded.
 */
export function formatBytes(bytes: number): string {
  let prefix = 0;
  let unit = 1;
  while (bytes >= unit * 1000 && prefix < PREFIXES.length - 1) {
    unit *= 1000;
    prefix++;
  }
  if (prefix === 0) return String(bytes);
  const tenths = Math.floor(bytes / (unit / 10));
  const number = tenths < 100 ? tenths / 10 : Math.floor(tenths / 10);
  return `${number}${PREFIXES[prefix]}`;
}
