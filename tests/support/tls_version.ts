/**
 * The version of TLS that clients of this process use.
 *
 * @module
 */

import tls from "node:tls";
import { runtime, type TestOptions } from "./harness.ts";

/** A version of TLS. */
export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/** Calls `connect`, whose connection is of this version. */
export async function withTlsVersion<T>(
  version: TlsVersion,
  connect: () => Promise<T>,
): Promise<T> {
  const before = tls.DEFAULT_MAX_VERSION;
  tls.DEFAULT_MAX_VERSION = version;
  try {
    return await connect();
  } finally {
    tls.DEFAULT_MAX_VERSION = before;
  }
}

/** The options of tests with this version. The interop tests have the clients that Deno lacks. */
export function versionOptions(version: TlsVersion): TestOptions {
  return version === "TLSv1.2" && runtime === "deno"
    ? { skip: "Deno's clients cannot be limited to TLS 1.2" }
    : {};
}
