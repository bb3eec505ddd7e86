/**
 * The description of the Admin API.
 *
 * @module
 */

import { VERSION } from "../version.ts";

/** The OpenAPI document. */
export function openapiDocument(): Readonly<Record<string, unknown>> {
  return { openapi: "3.1.0", info: { title: "socks5", version: VERSION } };
}
