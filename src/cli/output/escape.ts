/**
 * Makes text that others wrote safe to show.
 *
 * @module
 */

/**
 * `text` on one line, without characters that a terminal obeys or does not
 * show (control and format characters, bidirectional overrides, …): they and
 * the backslash are written as escapes.
 */
export function escapeText(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}\\]/gu, escapeCharacter);
}

/** As {@linkcode escapeText}, and without white space: one field of a line. */
export function escapeField(text: string): string {
  return text.replace(/[\p{C}\p{Z}\\]/gu, escapeCharacter);
}

/** `text` in quotes, as {@linkcode escapeText} shows it. */
export function quote(text: string): string {
  return `"${escapeText(text).replaceAll('"', '\\"')}"`;
}

/** The name in an argument that has the form of a flag. What has not, or follows it, may be a password and is not ours to repeat. */
export function flagName(arg: string): string | undefined {
  return /^(--[a-z][\w-]*|-[a-z])(?==|$)/i.exec(arg)?.[1];
}

function escapeCharacter(character: string): string {
  if (character === "\\") return "\\\\";
  const hex = character.codePointAt(0)!.toString(16);
  return hex.length <= 2 ? `\\x${hex.padStart(2, "0")}` : `\\u{${hex}}`;
}
