/**
 * Checks of methods and logins.
 *
 * @module
 */

import { chapLogin } from "../../client/chap_login.ts";
import { SocksError } from "../../client/error.ts";
import type { Endpoint } from "../../protocol/address.ts";
import { METHOD } from "../../protocol/socks5.ts";
import {
  type Examination,
  isLoginRefused,
  protocolOf,
  questionOf,
  tryConnect,
} from "./examination.ts";
import { askMethods, type Known } from "./probes.ts";
import type { CheckName } from "./report.ts";
import type { Login } from "./way.ts";

/**
 * Finds the methods of SOCKS5. If CHAP is the only one for a password, it is used from then
 * on.
 */
export async function checkMethods(
  { way, timeout, results }: Examination,
): Promise<readonly number[]> {
  let found: readonly number[] = [];
  await results.run("socks5", async () => {
    const { answer, methods } = await askMethods(way, timeout);
    found = methods;
    return answer;
  });
  const others = [METHOD.none, METHOD.password] as const;
  const wantsChap = way.hasLogin && way.auth === undefined &&
    found.includes(METHOD.chap) && !others.some((it) => found.includes(it));
  if (wantsChap) way.auth = [chapLogin()];
  return found;
}

/** Tries the login, a wrong one and none; `methods` are those of SOCKS5. */
export async function checkLogins(
  examination: Examination,
  methods: readonly number[],
): Promise<void> {
  const { way, results, places } = examination;
  const protocol = protocolOf(way);
  if (protocol === "socks4" || protocol === "socks4a") {
    for (const name of ["login", "wrong-login", "login-required"] as const) {
      results.skip(name, "SOCKS4 has no passwords");
    }
    return;
  }
  const target = places.target();
  if (!target) return;
  const enter = (name: CheckName, login: Login) =>
    tryLogin(examination, name, login, target);
  const takesPasswords = protocol === "http" ||
    methods.includes(METHOD.password);
  const wantsNone = way.auth === undefined && !takesPasswords &&
    methods.includes(METHOD.none);
  if (!way.hasLogin && way.auth === undefined) {
    results.skip("login", "the URL has none");
  } else if (wantsNone) results.skip("login", "the proxy asks for none");
  else await results.run("login", () => enter("login", "own"));
  if (isLoginRefused(examination)) {
    results.skip("wrong-login", "the right one is not accepted either");
  } else if (way.hasLogin && way.auth === undefined && takesPasswords) {
    await results.run(
      "wrong-login",
      async () => negate(await enter("wrong-login", "wrong")),
    );
  } else results.skip("wrong-login", "there is no password to vary");
  await results.run(
    "login-required",
    async () => negate(await enter("login-required", "none")),
  );
}

/** Whether the proxy accepts a login, whatever it says about the target. */
async function tryLogin(
  examination: Examination,
  name: CheckName,
  login: Login,
  target: Endpoint,
): Promise<Known> {
  const question = questionOf(examination, login);
  const answer = await tryConnect(examination, name, question, target);
  const { error, time, outcome } = answer;
  const isPast = error instanceof SocksError && error.phase === "request" &&
    error.code === "rejected";
  return outcome === "yes" || isPast ? { outcome: "yes", time } : answer;
}

/** The answer to the opposite question. */
function negate({ outcome, time, code }: Known): Known {
  if (outcome === "yes") return { outcome: "no", time };
  const isRefusal = code === "no-method" || code === "login-failed";
  return isRefusal
    ? { outcome: "yes", time }
    : { outcome: "skipped", time, detail: "not known: no target was reached" };
}
