/**
 * The command line as a program. `scripts/test.ts` bundles it with the tests,
 * which start it on Bun and Node. On Deno they start `src/server/mod.ts`.
 *
 * @module
 */

import { run } from "../../src/cli/main.ts";

await run();
