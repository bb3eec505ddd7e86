/**
 * Checks the options `dial` and `upstreams`.
 *
 * @module
 */

import { quote } from "../../protocol/escape.ts";
import type { Dial, Dialer } from "../dialer.ts";
import { OptionError } from "../option_error.ts";
import type { ServeOptions } from "../options.ts";
import { DIRECT, isUpstreamName } from "../policy/rule.ts";
import type { RulePolicy } from "../policy/rules.ts";

/** A function becomes a dialer that supports only CONNECT. */
export function resolveDial(
  option: string,
  dial: Dial | Dialer | undefined,
): Dialer | undefined {
  if (dial === undefined) return undefined;
  if (typeof dial === "function") return { connect: dial };
  if (typeof dial?.connect === "function") return dial;
  throw new OptionError(
    option,
    `${option} must be a function, or an object with a method connect()`,
  );
}

/**
 * Returns the dialers by name. Nothing may go another way than the rules say because a name
 * is misspelt.
 */
export function resolveUpstreams(
  { upstreams = {}, policy }: ServeOptions,
): ReadonlyMap<string, Dialer> {
  if (typeof upstreams !== "object" || upstreams === null) {
    throw new OptionError("upstreams", "upstreams must be an object");
  }
  const dialers = new Map<string, Dialer>();
  for (const [name, dial] of Object.entries(upstreams)) {
    if (!isUpstreamName(name)) {
      const fault = name === DIRECT ? "is not free" : "is invalid";
      const text = `upstreams: the name ${quote(name)} ${fault}`;
      throw new OptionError("upstreams", text);
    }
    const dialer = resolveDial(`upstreams.${name}`, dial);
    if (dialer) dialers.set(name, dialer);
  }
  const { through = [] } = (policy ?? {}) as Partial<RulePolicy>;
  const unknown = through.find((it) => it !== DIRECT && !dialers.has(it));
  if (unknown === undefined) return dialers;
  throw new OptionError(
    "upstreams",
    `a rule goes through ${unknown}, but there is no such upstream`,
  );
}
