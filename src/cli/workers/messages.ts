/**
 * The messages between the supervisor and its workers. All of them can be
 * serialized as JSON.
 *
 * @module
 */

import type { Address } from "../../transport/transport.ts";
import type { NetErrorKind } from "../../transport/errors.ts";
import type { LimitName } from "../../server/limits/limit_table.ts";
import type { MetricValues } from "../../server/metrics.ts";
import type { Config } from "../config/config.ts";
import type { CommandLine } from "../config/flags.ts";
import type { LogFormat } from "../output/format.ts";

/** The contents of the files of a configuration, by path. */
export type FileTexts = readonly (readonly [path: string, text: string])[];

/** {@linkcode CommandLine} without a map. */
export interface CommandLineData {
  readonly config: Config;
  readonly logins: readonly (readonly [name: string, password: string])[];
  readonly file?: string;
}

/** The messages to a worker. */
export type ToWorker =
  /** Start the server; answered by `listening` or `failed`. */
  | {
    readonly type: "start";
    /** The number of this worker, from 1. One that is restarted gets a new number. */
    readonly worker: number;
    /** The number of all workers. */
    readonly workers: number;
    readonly commandLine: CommandLineData;
    readonly files: FileTexts;
    /**
     * Takes precedence over the files, like the following settings: those of a
     * running server cannot change, but the files may have.
     */
    readonly hostname: string | undefined;
    readonly port: number;
    readonly plainPort?: number;
    readonly log: LogFormat;
    readonly logStart: boolean;
    /** The key of the choice of addresses, the same for all workers. */
    readonly egressKey: readonly number[];
    /** Whether to count metrics. */
    readonly metrics: boolean;
    /** How often to report usage, in milliseconds; 0 = at the end of sessions. */
    readonly accounting: number;
    /** The limits that the supervisor shares with other machines, if there are any. */
    readonly exact?: readonly LimitName[];
  }
  /** Adopt the configuration in these files; answered by `updated`. */
  | { readonly type: "update"; readonly files: FileTexts }
  /** Results of earlier `calls`. */
  | { readonly type: "results"; readonly results: readonly CallResult[] }
  /** Prepare to stop. */
  | { readonly type: "drain" }
  /** Stop accepting connections; answered by `stopped-accepting`. */
  | { readonly type: "stop-accepting" }
  /** Call a method of `ServerControl`; answered by `response`. */
  | {
    readonly type: "request";
    /** Each number is used once for each worker. */
    readonly id: number;
    readonly method: ControlMethod;
    readonly args: readonly unknown[];
  }
  /** Read the metrics; answered by `metrics`. */
  | { readonly type: "read-metrics" }
  /** Report usage, by `calls`; answered by `usage-reported`. */
  | { readonly type: "report-usage" }
  /** Wait for the sessions to end, and exit. */
  | { readonly type: "shutdown"; readonly grace: number }
  /** Exit immediately. */
  | { readonly type: "exit" };

/** The messages of a worker. */
export type FromWorker =
  /** The worker receives messages; the first message. */
  | { readonly type: "ready" }
  | { readonly type: "listening"; readonly addr: Address }
  /** The server could not start. */
  | {
    readonly type: "failed";
    /** The kind of a `NetError`. */
    readonly kind?: NetErrorKind;
    readonly message: string;
  }
  | { readonly type: "updated" }
  /** Calls of the limits that the supervisor coordinates, and of its accounting. */
  | { readonly type: "calls"; readonly calls: readonly Call[] }
  /** The result of a request. */
  | {
    readonly type: "response";
    readonly id: number;
    readonly value: unknown;
  }
  /** The number of open sessions. */
  | { readonly type: "stopped-accepting"; readonly sessions: number }
  | { readonly type: "usage-reported" }
  | { readonly type: "metrics"; readonly values: MetricValues };

/** The methods of `ServerControl` that workers have. */
export type ControlMethod = "counters" | "sessions" | "end" | "users";

/**
 * A call of a method of the shared limits, or of `addUsage`. `id` is `null` if no result is
 * expected.
 */
export type Call = readonly [
  id: number | null,
  method: string,
  args: readonly unknown[],
];

/** The result of a call; with an error if it has failed. */
export type CallResult = readonly [
  id: number,
  value: unknown,
  error?: string,
];

/** Converts flags and environment for a message. */
export function toData({ config, logins, file }: CommandLine): CommandLineData {
  return { config, logins: [...logins], file };
}

/** Restores flags and environment from a message. */
export function fromData(
  { config, logins, file }: CommandLineData,
): CommandLine {
  return { config, logins: new Map(logins), file };
}
