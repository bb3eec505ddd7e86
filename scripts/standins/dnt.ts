/**
 * Replaces `@deno/dnt` if JSR is not reachable, so that the build script can be
 * type-checked. It cannot build, because the compiler of dnt is on JSR only.
 *
 * @module
 */

/** The options of dnt's `build()` that this project uses. */
export interface BuildOptions {
  entryPoints:
    (string | { kind?: "bin" | "export"; name: string; path: string })[];
  outDir: string;
  importMap?: string;
  shims: Record<string, boolean | "dev">;
  package: { name: string; version: string; [key: string]: unknown };
  compilerOptions?: { lib?: string[]; target?: string };
  typeCheck?: "both" | "single" | false;
  declaration?: "inline" | "separate" | false;
  declarationMap?: boolean;
  scriptModule?: "cjs" | "umd" | false;
  polyfills?: boolean;
  skipSourceOutput?: boolean;
  skipNpmInstall?: boolean;
  test?: boolean;
  rootTestDir?: string;
  testIsolation?: "process" | "none";
  postBuild?: () => void | Promise<void>;
}

/** Always rejects: building needs the real dnt. */
export function build(_options: BuildOptions): Promise<void> {
  return Promise.reject(
    new Error("@deno/dnt comes from JSR, which is not reachable"),
  );
}

/** Empties a directory, or creates it if it does not exist. */
export async function emptyDir(dir: string): Promise<void> {
  await Deno.remove(dir, { recursive: true }).catch(() => {});
  await Deno.mkdir(dir, { recursive: true });
}
