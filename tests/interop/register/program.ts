/**
 * The door `register`, see `tests/doors/register/program.ts`.
 *
 * @module
 */

import "../../doors/register/program.ts";
