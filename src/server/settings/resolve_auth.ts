/**
 * Checks the options that authenticate clients.
 *
 * @module
 */

import { checkKeys } from "../../transport/check_keys.ts";
import type { Clock } from "../../transport/clock.ts";
import { GuardedVerifier } from "../auth/guarded_verifier.ts";
import type { IdentOptions } from "../auth/ident.ts";
import { toVerifier } from "../auth/logins.ts";
import { type AuthMethod, noAuth } from "../auth/method.ts";
import type { Verifier, VerifyLogin } from "../auth/verifier.ts";
import type { Socks4Options } from "../auth/socks4_options.ts";
import { OptionError } from "../option_error.ts";

/** The checked options of SOCKS4 user ids. */
export interface Socks4Settings {
  readonly userIds: readonly string[] | undefined;
  readonly verifier: GuardedVerifier | undefined;
  readonly ident: IdentOptions | undefined;
}

/** Returns at least one method; no two have the same number (RFC 1928 section 3). */
export function resolveAuth(
  methods: readonly AuthMethod[] = [noAuth()],
): readonly AuthMethod[] {
  if (!Array.isArray(methods) || methods.length === 0) {
    throw new OptionError(
      "auth",
      "auth must be a list of methods, such as [userPass(…)]",
    );
  }
  const numbers = new Set<number>();
  for (const method of methods as readonly AuthMethod[]) {
    const { number } = method ?? {};
    if (!Number.isInteger(number) || number < 0 || number > 254) {
      throw new OptionError(
        "auth",
        "auth must hold methods with a number from 0 to 254",
      );
    }
    if (numbers.has(number)) {
      throw new OptionError("auth", `auth has two methods of number ${number}`);
    }
    numbers.add(number);
  }
  return methods;
}

/** Returns the checks of user ids; `undefined` without any: a claim alone is no login. */
export function resolveSocks4(
  options: Socks4Options = {},
  clock: Clock,
): Socks4Settings | undefined {
  checkKeys(options, ["userIds", "verifier", "guard", "ident"], "socks4");
  const { userIds, verifier, ident } = options;
  if (userIds === undefined && verifier === undefined && !ident) return;
  if (userIds !== undefined && !Array.isArray(userIds)) {
    throw new OptionError(
      "socks4.userIds",
      "socks4.userIds must be an array of strings",
    );
  }
  return {
    userIds,
    verifier: verifier === undefined
      ? undefined
      : guarded(options, verifier, clock),
    ident: ident === true ? {} : ident || undefined,
  };
}

/** By the options object, so that an update of other options keeps the lockouts. */
const guardedVerifiers = new WeakMap<Socks4Options, GuardedVerifier>();

function guarded(
  options: Socks4Options,
  verifier: Verifier | VerifyLogin,
  clock: Clock,
): GuardedVerifier {
  const known = guardedVerifiers.get(options);
  if (known) return known;
  const verify = typeof verifier === "function" ? verifier : verifier?.verify;
  if (typeof verify !== "function") {
    throw new OptionError(
      "socks4.verifier",
      "socks4.verifier must be a function, or an object with a method verify()",
    );
  }
  const { guard } = options;
  const made = new GuardedVerifier(toVerifier(verifier), { guard, clock });
  guardedVerifiers.set(options, made);
  return made;
}
