/**
 * The addresses of this machine that a target may be reached from.
 *
 * @module
 */

import { NetError, toNetError } from "./errors.ts";

/** Why a local address cannot be used: it has no free port, or is not one of this machine. */
export type LocalAddressProblem = "exhausted" | "unavailable";

/** Addresses of this machine. */
export interface LocalAddresses {
  /** The list for messages, at most 100 characters. */
  readonly text: string;
  /** Whether there is one of this IP version, 4 or 6. */
  has(version: number): boolean;
  /** Those of an IP version, in the order in which they are tried. */
  of(version: number): Iterable<string>;
  /** Called for each address that cannot be used. */
  onProblem?(address: string, problem: LocalAddressProblem): void;
}

/**
 * Calls `open` with one address after the other, until one has a free port. Rejects with the
 * error of `open` if that has another cause.
 */
export async function fromFirst<T>(
  addresses: LocalAddresses,
  version: number,
  open: (localAddress: string) => Promise<T>,
): Promise<T> {
  const failed: string[] = [];
  let failure: NetError | undefined;
  for (const address of addresses.of(version)) {
    try {
      return await open(address);
    } catch (error) {
      const problem = problemOf(error);
      if (!problem) throw error;
      addresses.onProblem?.(address, problem);
      failed.push(address);
      if (problem === "exhausted") failure = toNetError(error);
      failure ??= toNetError(error);
    }
  }
  if (!failure) throw noRouteFrom(addresses);
  throw new NetError(failure.kind, textOf(failure, failed), failure);
}

function problemOf(error: unknown): LocalAddressProblem | undefined {
  if (!(error instanceof NetError)) return undefined;
  if (error.kind === "addr-in-use") return "exhausted";
  return error.kind === "addr-not-available" ? "unavailable" : undefined;
}

function textOf({ kind }: NetError, failed: readonly string[]): string {
  const [first] = failed;
  const where = failed.length === 1
    ? first
    : `${first} and ${failed.length - 1} other address${
      failed.length > 2 ? "es" : ""
    }`;
  return kind === "addr-in-use"
    ? `there is no free source port on ${where}`
    : `this machine cannot use the address ${where}`;
}

/** The error for a target of an IP version that the addresses do not have. */
export function noRouteFrom({ text }: LocalAddresses): NetError {
  const what = `the target has no address that can be reached from ${text}`;
  return new NetError("net-unreachable", what);
}
