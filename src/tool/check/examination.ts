/**
 * The state that the parts of a check share.
 *
 * @module
 */

import type { Endpoint } from "../../protocol/address.ts";
import type { Places } from "./places.ts";
import {
  type Answer,
  askConnect,
  type Known,
  type Question,
} from "./probes.ts";
import type { CheckName } from "./report.ts";
import type { Results } from "./results.ts";
import type { Login, Plain, Way } from "./way.ts";

/** A check under way. */
export interface Examination {
  readonly way: Way;
  /** Milliseconds for each question. */
  readonly timeout: number;
  readonly places: Places;
  readonly results: Results;
}

/** How to ask, with the protocol of the URL unless another one is given. */
export function questionOf(
  { way, timeout }: Examination,
  login: Login,
  protocol: Plain = protocolOf(way),
): Question {
  return { way, timeout, protocol, login };
}

/** The protocol of the URL; SOCKS5 carries names as well as addresses. */
export function protocolOf({ protocol }: Way): Plain {
  return protocol === "socks5" ? "socks5h" : protocol;
}

/** Connects, and notes it if that went without a login. */
export async function tryConnect(
  { results, places }: Examination,
  name: CheckName,
  question: Question,
  target: Endpoint,
): Promise<Known & { readonly halfClose?: Answer }> {
  const answer = await askConnect(question, target, places.own);
  const isAnonymous = question.login === "none" && answer.outcome === "yes";
  if (isAnonymous) results.anonymous.push(name);
  return answer;
}

/** Whether the login failed. It must not be tried again: the proxy may lock the client out. */
export function isLoginRefused({ results }: Examination): boolean {
  return results.of("login")?.outcome === "no";
}

/** Whether all commands would be refused for the lack of a login. */
export function lacksLogin(examination: Examination): boolean {
  const { results } = examination;
  const isAccepted = results.is("login");
  return isLoginRefused(examination) ||
    results.is("login-required") && !isAccepted;
}
