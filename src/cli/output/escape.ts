/**
 * Makes arguments and other text of unknown origin safe to print.
 *
 * @module
 */

import { isIp } from "../../protocol/ip.ts";
import { escapeText, quote } from "../../protocol/escape.ts";

export {
  escapeField,
  escapeJson,
  escapeText,
  quote,
} from "../../protocol/escape.ts";

/**
 * Returns the name in an argument that has the form of a flag. An error message
 * must show nothing else of the argument, because it may be a password.
 */
export function flagName(arg: string): string | undefined {
  return /^(--[a-z][\w-]*|-[a-z])(?==|$)/i.exec(arg)?.[1];
}

/**
 * A refused value in an error message. Text with a colon may be a login in the
 * wrong place, and is not shown.
 */
export function showValue(text: string): string {
  return mayBeLogin(text)
    ? 'a value with ":", which may be a login'
    : quote(text);
}

/**
 * The path of a file in an error message, unless it may be a login that was given
 * to the flag beside `--user`. A drive letter (`C:`) is none.
 */
export function showPath(path: string): string {
  return /^[^\\/:]+:/.test(path) && !/^[A-Za-z]:[\\/]/.test(path)
    ? 'a file with ":" in its name'
    : escapeText(path);
}

/**
 * The message of an error on a line. It may quote text that is escaped already: what a
 * terminal interprets or does not show is escaped, and backslashes are left.
 */
export function showMessage(message: string): string {
  return message.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, escapeText);
}

/** A rule in a message, unless one of its words may be a login. A long one is cut. */
export function showRule(text: string, maxLength?: number): string {
  return mayHoldLogin(text)
    ? '(not shown, because it has a login or another word with ":")'
    : quote(text, maxLength);
}

/**
 * Whether a word of a rule or a question may be NAME:PASSWORD: it has a colon, and is
 * neither HOST:PORTS nor an address.
 */
export function mayHoldLogin(text: string): boolean {
  return text.split(/[\s,]+/).some((word) =>
    mayBeLogin(word.replace(/\/\d+$/, "")) &&
    !/^(\[[^\]]*\](\/\d+)?|[^:]*):[\d+-]+$|^\[[\da-f:.]*(\/\d+)?\](\/\d+)?$/i
      .test(word)
  );
}

/** Whether the text may be NAME:PASSWORD. */
export function mayBeLogin(text: string): boolean {
  return text.includes(":") && isIp(text.replace(/^\[(.*)\]$/, "$1")) === 0;
}
