/**
 * The command line as a program, see `tests/cli/program.ts`.
 *
 * @module
 */

import "../cli/program.ts";
