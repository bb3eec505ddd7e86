#!/usr/bin/env node
/**
 * The `socks5-server` command of the npm package. It always starts the command
 * line: behind the link that npm makes, `import.meta.main` cannot be trusted.
 *
 * @module
 */

import { run } from "./main.ts";

await run();
