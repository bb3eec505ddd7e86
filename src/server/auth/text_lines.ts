/**
 * Lines of hand-written text: users files, and logins in the environment.
 *
 * @module
 */

/** A line of a text. */
export interface TextLine {
  /** Its number, starting at 1. */
  readonly line: number;
  /** Without the line break. */
  readonly text: string;
}

/**
 * Splits a text into its lines, which end with LF or CR LF. A byte order mark at
 * the beginning is removed.
 */
export function linesOf(text: string): TextLine[] {
  return text.replace(/^\uFEFF/, "").split(/\r?\n/)
    .map((text, index) => ({ line: index + 1, text }));
}

/**
 * Returns why a line is invalid, or `undefined` if it is valid. Control characters are
 * invisible: a name or password that contains one would differ from the one that the file
 * appears to have.
 *
 * @param isComment Whether the line is a comment, in which tabs are allowed.
 */
export function problemOfLine(
  text: string,
  isComment = false,
): string | undefined {
  if (text.includes("\r")) {
    return "a carriage return within the line (lines end with LF or CR LF)";
  }
  const found = isComment ? /[^\P{Cc}\t]/u.test(text) : /\p{Cc}/u.test(text);
  return found ? "a control character" : undefined;
}
