/**
 * The results of a check under way.
 *
 * @module
 */

import type { Known } from "./probes.ts";
import { type CheckName, type CheckResult, CHECKS } from "./report.ts";

/** The listeners that checks are reported to. */
export interface Listeners {
  readonly onStart?: (name: CheckName) => void;
  readonly onResult?: (result: CheckResult) => void;
}

/** The checks without which nothing else works: their failures need advice. */
const BASIC: readonly CheckName[] = ["reach", "tls", "socks5", "login"];

/** Keeps the results, and reports them. */
export class Results {
  /** The errors that need advice. */
  readonly errors: unknown[] = [];
  /** The checks in which a client without a login reached the target. */
  readonly anonymous: CheckName[] = [];
  readonly #listeners: Listeners;
  readonly #results = new Map<CheckName, CheckResult>();

  constructor(listeners: Listeners) {
    this.#listeners = listeners;
  }

  /** Runs a check, and keeps its result. */
  async run<T extends Known>(
    name: CheckName,
    step: () => Promise<T>,
  ): Promise<T> {
    this.#listeners.onStart?.(name);
    const answer = await step();
    this.keep(name, answer);
    return answer;
  }

  /** Keeps a result. */
  keep(name: CheckName, answer: Known): void {
    const { outcome, time, detail, code, reply, error } = answer;
    if (error !== undefined && BASIC.includes(name)) this.errors.push(error);
    const tenths = time === undefined ? undefined : Math.round(time * 10) / 10;
    const result = { name, outcome, time: tenths, detail, code, reply };
    this.#results.set(name, result);
    this.#listeners.onResult?.(result);
  }

  /** Keeps why a check is left out. */
  skip(name: CheckName, detail: string): void {
    this.keep(name, { outcome: "skipped", detail });
  }

  /** The result of a check, if it is there. */
  of(name: CheckName): CheckResult | undefined {
    return this.#results.get(name);
  }

  /** Whether a check has succeeded. */
  is(name: CheckName): boolean {
    return this.of(name)?.outcome === "yes";
  }

  /** The results of all checks, in order. */
  all(): readonly CheckResult[] {
    const detail = "not tried, because an earlier check failed";
    return CHECKS.map(({ name }) =>
      this.of(name) ?? { name, outcome: "skipped", detail }
    );
  }
}
