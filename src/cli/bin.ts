#!/usr/bin/env node
/**
 * The `socks5-server` command of the npm package. It always runs the command
 * line: `import.meta.main` is not reliable when npm's link starts the module.
 *
 * @module
 */

import { run } from "./main.ts";

await run();
