#!/usr/bin/env node
/**
 * The `socks5` command of the npm package. It always runs the command
 * line: `import.meta.main` is not reliable when npm's link starts the module.
 *
 * It has no top-level await, which would keep it out of CommonJS bundles, out of
 * `bun build --compile --bytecode` and out of Node's single executable applications.
 *
 * @module
 */

import { run } from "./main.ts";

run();
