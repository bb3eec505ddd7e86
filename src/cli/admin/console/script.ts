/**
 * The text of the page's script.
 *
 * @module
 */

import { parts } from "./parts.ts";
import { start } from "./start.ts";

/**
 * Returns the script: the text of {@linkcode start} and of the parts that it is called with,
 * as this runtime or the bundler has compiled them.
 */
export function consoleScript(): string {
  const texts = Object.entries(parts).map(([name, part]) => `${name}: ${part}`);
  return compact(
    `"use strict";\n(${start})({\n${texts.join(",\n")}\n}, globalThis);`,
  );
}

/** Removes comments and indentation; no text of the script spans lines or looks like these. */
function compact(script: string): string {
  return script
    .replaceAll(/\/\*\*[^]*?\*\//g, "")
    .replaceAll(/^\s+(?:\/\/.*)?/gm, "");
}
