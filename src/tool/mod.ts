/**
 * A tool for users of proxies. As a program it has the commands `check`, `connect`,
 * `forward`, `bridge` and `run` (`help COMMAND` describes each), and `serve`, which is the
 * server; the command `socks5` of the npm package has the same. As a library it is one
 * function, {@linkcode checkProxy}. Importing it never starts the program, nor does running
 * a bundle that contains it.
 *
 * ```sh
 * deno run --allow-net jsr:@x/socks5/tool check socks5h://127.0.0.1:1080
 * ```
 *
 * On Deno, the commands need `--allow-net`; files of flags `--allow-read`, Kerberos
 * `--allow-ffi`, and `run` `--allow-run` and `--allow-env`.
 *
 * @example
 * ```ts
 * import { checkProxy } from "@x/socks5/tool";
 * import { serve } from "@x/socks5/server";
 *
 * await using server = await serve({ port: 0 });
 * const url = `socks5h://127.0.0.1:${server.addr.port}`;
 * const { results } = await checkProxy(url);
 * for (const { name, outcome } of results) console.log(name, outcome);
 * ```
 *
 * @module
 */

import { isOwnModule } from "./program.ts";

export * from "./public.ts";

if (import.meta.main && isOwnModule(import.meta.url)) startProgram();

/** Has no top-level await, which would keep `require()` from loading this module. */
function startProgram(): void {
  import("../cli/main.ts").then(({ run }) => run(["help", "tool"]));
}
