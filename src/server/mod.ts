/**
 * A SOCKS4, SOCKS4a and SOCKS5 server for Deno, Bun and Node.js.
 *
 * As a library it is one function, {@linkcode serve}; run as a program it is
 * the command line (`--help` tells its flags).
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

export * from "./public.ts";

// No top-level await: it would keep require() from loading this module.
if (import.meta.main) import("../cli/main.ts").then(({ run }) => run());
