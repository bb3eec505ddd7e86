/**
 * Finds the imports of a module in its text.
 *
 * @module
 */

import { posix } from "node:path";

/** An import, a re-export, or a directive that counts as one. */
export interface Import {
  /** Undefined when it is not a literal. */
  specifier?: string;
  dynamic: boolean;
}

const STRING = /"(?:[^"\\\n]|\\[^])*"|'(?:[^'\\\n]|\\[^])*'/y;
const COMMENT = /\/\*[^]*?\*\/|\/\/.*/y;
/** A regular expression, which follows an operator, a bracket or a keyword. */
const REGEXP =
  /(?<=(?:^|[-(,=:[!&|?{};+*%<>~^]|\b(?:return|typeof|case|in|of|void))\s*)\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\//y;
/** The text of a template up to its end or to an expression in it. */
const TEMPLATE = /(?:[^`\\$]|\\[^]|\$(?!\{))*(?:`|\$\{)/y;

/** Separates a module's text from its comments. Those in strings are none. */
function separateComments(text: string): { code: string; comments: string[] } {
  const comments: string[] = [];
  /** How many braces are open in each expression of a template. */
  const depths: number[] = [];
  let code = "";
  let at = 0;
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const token = pattern.exec(text)?.[0];
    at += token?.length ?? 0;
    return token;
  };
  const takeTemplate = () => {
    const token = take(TEMPLATE) ?? "";
    if (token.endsWith("{")) depths.push(0);
    return token;
  };
  while (at < text.length) {
    const comment = take(COMMENT);
    if (comment !== undefined) {
      comments.push(comment);
      code += " ";
      continue;
    }
    const literal = take(STRING) ?? take(REGEXP);
    if (literal !== undefined) {
      code += literal;
      continue;
    }
    const character = text[at++];
    code += character;
    const last = depths.length - 1;
    if (character === "`") code += takeTemplate();
    else if (character === "{" && last >= 0) depths[last]++;
    else if (character === "}" && last >= 0 && depths[last]-- === 0) {
      depths.pop();
      code += takeTemplate();
    }
  }
  return { code, comments };
}

const STATEMENT =
  /\b(?:import|export)\b(?:[\p{ID_Continue}\s,*$]|\{[^{}]*\})*?\bfrom\s*(["'])(.*?)\1|\bimport\s*(["'])(.*?)\3|\brequire\s*\(\s*(["'])(.*?)\5/gu;
const DYNAMIC = /\bimport\s*\(\s*(?:(["'])(.*?)\1\s*[,)])?/g;
/** Comments that TypeScript and Deno read as imports of types. */
const DIRECTIVE =
  /^\/\/\/?\s*(?:<reference\s.*?\b(?:path|types)|@(?:ts|deno)-types)\s*=\s*(["'])(.*?)\1/;

/** The imports and re-exports of a module's text. */
export function importsOf(text: string): Import[] {
  const { code, comments } = separateComments(text);
  const found: Import[] = [];
  for (const comment of comments) {
    const specifier = DIRECTIVE.exec(comment)?.[2];
    if (specifier !== undefined) found.push({ specifier, dynamic: false });
  }
  for (const match of code.matchAll(STATEMENT)) {
    const specifier = match[2] ?? match[4] ?? match[6];
    found.push({ specifier, dynamic: false });
  }
  for (const match of code.matchAll(DYNAMIC)) {
    found.push({ specifier: match[2], dynamic: true });
  }
  return found;
}

/**
 * The path of the module that a relative import names, or `undefined`. A specifier
 * with an escape or a query is none: it would be another name of a module.
 */
export function targetOf(path: string, specifier = ""): string | undefined {
  if (!/^\.{1,2}\/[^%?#\\]*$/.test(specifier)) return undefined;
  return posix.join(posix.dirname(path), specifier);
}
