/**
 * A SOCKS4, SOCKS4a and SOCKS5 server for Deno, Bun and Node.js.
 *
 * As a library it is one function, {@linkcode serve}. Run as a program it is the
 * command line (`--help` lists its flags). Importing it never starts the program,
 * nor does running a bundle that contains it.
 *
 * @example
 * ```ts
 * import { serve } from "@x/socks5/server";
 *
 * const server = await serve({ port: 0 });
 * await server.shutdown();
 * ```
 *
 * @module
 */

import { isOwnModule } from "./program.ts";

export * from "./public.ts";

if (import.meta.main && isOwnModule(import.meta.url)) startProgram();

/** Has no top-level await, which would keep `require()` from loading this module. */
function startProgram(): void {
  import("../cli/main.ts").then(({ run }) => run());
}
