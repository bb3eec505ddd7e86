/**
 * The authentication method GSSAPI of the program.
 *
 * @module
 */

import type { ProtectionLevel } from "../../gssapi/level.ts";
import type { AuthMethod } from "../../server/auth/method.ts";
import { showMessage } from "../output/escape.ts";
import { UsageError } from "../usage_error.ts";
import type { Config } from "./config.ts";
import { fileName } from "./files.ts";

/** The options of GSSAPI. */
export interface GssapiConfig {
  readonly keytab: string;
  readonly levels: readonly ProtectionLevel[] | undefined;
  readonly nec: boolean | undefined;
}

/**
 * Returns the options of GSSAPI, or `undefined` if it is not asked for.
 *
 * @throws {UsageError} if there are some, but no keytab.
 */
export function gssapiConfig(
  { gssapiKeytab: keytab, gssapiLevels: levels, gssapiNec: nec }: Config,
): GssapiConfig | undefined {
  if (keytab !== undefined) return { keytab, levels, nec };
  if (levels === undefined && !nec) return undefined;
  throw new UsageError(
    "--gssapi-levels and --gssapi-nec need the keys of the server: add " +
      '--gssapi-keytab ("gssapiKeytab" in the --config file)',
  );
}

/** Kerberos is preferred to passwords: nothing that could be stolen travels. */
export async function withGssapi(
  gssapi: GssapiConfig | undefined,
  others: readonly AuthMethod[] | undefined,
): Promise<readonly AuthMethod[] | undefined> {
  return gssapi ? [await gssapiMethod(gssapi), ...others ?? []] : others;
}

/**
 * Returns the method.
 *
 * @throws {UsageError} if the keytab or the library of Kerberos is missing: a server that
 * starts without them would reject its clients.
 */
async function gssapiMethod(options: GssapiConfig): Promise<AuthMethod> {
  // Loaded lazily: most servers have no Kerberos.
  const { gssapi, GssError } = await import("../../gssapi/mod.ts");
  try {
    return await gssapi(options);
  } catch (error) {
    if (!(error instanceof GssError)) throw error;
    const message = error.message.replaceAll(
      options.keytab,
      () => fileName(options.keytab),
    );
    throw new UsageError(`--gssapi-keytab: ${showMessage(message)}`);
  }
}
