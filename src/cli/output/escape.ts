/**
 * Makes text of unknown origin safe to print.
 *
 * @module
 */

/**
 * Escapes backslashes and all characters that a terminal interprets or does not
 * show: line breaks, control and format characters, bidirectional overrides.
 */
export function escapeText(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}\\]/gu, escapeCharacter);
}

/** As {@linkcode escapeText}, and escapes white space, too: for a field of a line. */
export function escapeField(text: string): string {
  return text.replace(/[\p{C}\p{Z}\\]/gu, escapeCharacter);
}

/** Puts the text in double quotes, escaped as by {@linkcode escapeText}. */
export function quote(text: string): string {
  return `"${escapeText(text).replaceAll('"', '\\"')}"`;
}

/**
 * Returns the name in an argument that has the form of a flag. An error message
 * must show nothing else of the argument, because it may be a password.
 */
export function flagName(arg: string): string | undefined {
  return /^(--[a-z][\w-]*|-[a-z])(?==|$)/i.exec(arg)?.[1];
}

function escapeCharacter(character: string): string {
  if (character === "\\") return "\\\\";
  const hex = character.codePointAt(0)!.toString(16);
  return hex.length <= 2 ? `\\x${hex.padStart(2, "0")}` : `\\u{${hex}}`;
}
