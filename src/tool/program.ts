/**
 * Decides whether `mod.ts` is the program that was started, or a module that a
 * program imports.
 *
 * @module
 */

/**
 * Whether the module of this URL is `mod.ts` beside this file, as it is when it is loaded
 * by itself: see the same function in `src/server/program.ts`. No other module may import
 * this one.
 */
export function isOwnModule(url: string): boolean {
  const here = import.meta.url;
  return url !== here && url === here.replace(/program(?=\.\w+$)/, "mod");
}
