/**
 * The door `register`, which the runner bundles for Bun and Node.js.
 *
 * @module
 */

import "../../../src/doors/register/mod.ts";
