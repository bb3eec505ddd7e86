/**
 * What a worker and the process that started it tell each other; all of it can
 * be written as JSON.
 *
 * @module
 */

import type { Address } from "../../transport/transport.ts";
import type { NetErrorKind } from "../../transport/errors.ts";
import type { MetricValues } from "../../server/metrics.ts";
import type { Config } from "../config/config.ts";
import type { Given } from "../config/flags.ts";
import type { LogFormat } from "../output/format.ts";

/** The text of files by their paths, as they were read for one configuration. */
export type FileTexts = readonly (readonly [path: string, text: string])[];

/** {@linkcode Given} without a map. */
export interface GivenData {
  readonly config: Config;
  readonly logins: readonly (readonly [name: string, password: string])[];
  readonly file?: string;
}

/** What a worker is told. */
export type ToWorker =
  /** Begin; answered by `listening` or `failed`. */
  | {
    readonly type: "start";
    /** Which one it is, from 1. */
    readonly worker: number;
    /** How many there are. */
    readonly workers: number;
    readonly given: GivenData;
    readonly files: FileTexts;
    /** In place of what the files say by now, as are the next two. */
    readonly hostname: string | undefined;
    readonly port: number;
    readonly log: LogFormat;
    /** Whether it will be asked for them, whatever the files say by now. */
    readonly metrics: boolean;
  }
  /** Serve by what these files say; answered by `updated`. */
  | { readonly type: "update"; readonly files: FileTexts }
  /** What it asked the books. */
  | { readonly type: "answers"; readonly answers: readonly Answer[] }
  /** Take no more clients; answered by `closed`. */
  | { readonly type: "close" }
  /** Tell what there is to tell; answered by `metrics`. */
  | { readonly type: "metrics" }
  /** Let the sessions end, and then end. */
  | { readonly type: "shutdown"; readonly grace: number }
  /** End now. */
  | { readonly type: "end" };

/** What a worker tells. */
export type FromWorker =
  | { readonly type: "ready" }
  | { readonly type: "listening"; readonly addr: Address }
  | {
    readonly type: "failed";
    /** Of what the network said. */
    readonly kind?: NetErrorKind;
    readonly message: string;
  }
  | { readonly type: "updated" }
  | { readonly type: "calls"; readonly calls: readonly Call[] }
  | { readonly type: "closed"; readonly sessions: number }
  | { readonly type: "metrics"; readonly values: MetricValues };

/** A call of a method of the books; of one with a number the answer is awaited. */
export type Call = readonly [
  number: number | null,
  method: string,
  args: readonly unknown[],
];

/** What a call gave. */
export type Answer = readonly [number: number, value: unknown];

/** For a message. */
export function toData({ config, logins, file }: Given): GivenData {
  return { config, logins: [...logins], file };
}

/** From a message. */
export function fromData({ config, logins, file }: GivenData): Given {
  return { config, logins: new Map(logins), file };
}
