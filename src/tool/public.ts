/**
 * The public names of the tool.
 *
 * @module
 */

export { type CheckOptions, checkProxy } from "./check/check.ts";
export type { CheckName, CheckReport, CheckResult } from "./check/report.ts";

export type { ClientAuth } from "../client/auth.ts";
export type { Hops } from "../client/hops.ts";
export type { TlsOptions } from "../client/options.ts";
export type { ProxyConfig } from "../client/proxy.ts";
export type { Endpoint } from "../protocol/address.ts";
export type { Transport } from "../transport/transport.ts";
