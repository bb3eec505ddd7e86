/**
 * Makes text of unknown origin safe to show: in errors, in logs, on a terminal.
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

/** As {@linkcode escapeText}, and also escapes white space: for a field of a log line. */
export function escapeField(text: string): string {
  return text.replace(/[\p{C}\p{Z}\\]/gu, escapeCharacter);
}

/**
 * Escapes what a terminal or a reader of lines may interpret, but JSON allows. Line breaks
 * between the members of the JSON remain.
 */
export function escapeJson(json: string): string {
  return json.replace(/(?!\n)[\p{C}\p{Zl}\p{Zp}]/gu, escapeUnits);
}

/**
 * Puts the text in double quotes, escaped as by {@linkcode escapeText}. A text of
 * more than `maxLength` characters is cut.
 */
export function quote(text: string, maxLength = Infinity): string {
  const isLong = text.length > maxLength;
  const shown = isLong ? `${text.slice(0, maxLength - 1)}…` : text;
  return `"${escapeText(shown).replaceAll('"', '\\"')}"`;
}

function escapeCharacter(character: string): string {
  if (character === "\\") return "\\\\";
  const hex = character.codePointAt(0)!.toString(16);
  return hex.length <= 2 ? `\\x${hex.padStart(2, "0")}` : `\\u{${hex}}`;
}

/** A character as the UTF-16 code units of JSON. */
function escapeUnits(character: string): string {
  return character.split("")
    .map((it) => `\\u${it.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .join("");
}
