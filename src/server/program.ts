/**
 * Decides whether `mod.ts` is the program that was started, or a module that a
 * program imports.
 *
 * @module
 */

/**
 * Whether the module of this URL is `mod.ts` beside this file, as it is when it is
 * loaded by itself. `import.meta.main` alone does not say so: bundlers keep it, and
 * it is then true in every module of the application's bundle. Both modules have the
 * URL of the bundle there, whatever the name of its file is. No other module may
 * import this one: then no bundler has a reason to put the two into different files.
 */
export function isOwnModule(url: string): boolean {
  const here = import.meta.url;
  return url !== here && url === here.replace(/program(?=\.\w+$)/, "mod");
}
