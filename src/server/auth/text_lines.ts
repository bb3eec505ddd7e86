/**
 * Lines of text that people write: users files, and logins in the environment.
 *
 * @module
 */

/** A line of a text. */
export interface TextLine {
  /** Its number, from 1 on. */
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
 * Why a line cannot be used, if it cannot. Control characters do not show, so that
 * a name or a password with one would be another than the file seems to have.
 *
 * @param isComment Whether a tab is harmless.
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
