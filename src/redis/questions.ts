/**
 * What a node asks Redis in one call.
 *
 * @module
 */

import type {
  LimitRequest,
  RateRequest,
  SlotRequest,
} from "../server/cluster/store.ts";
import { fieldOf, type KeyNames } from "./names.ts";

/** Asks whether the client of a login is locked out. */
export interface LoginQuestion {
  readonly kind: "login";
  /** The client, in the form of `safeKey()`. */
  readonly client: string;
  /**
   * For how many milliseconds this node accepts other correct logins of the client without
   * asking; `undefined` if this one is not verified yet.
   */
  readonly trust: number | undefined;
}

/** Asks for slots and rates, of which all are granted or none. */
export interface SlotsQuestion {
  readonly kind: "slots";
  readonly slots: readonly SlotRequest[];
  /** Their fields. */
  readonly fields: readonly string[];
  readonly rates: readonly RateRequest[];
}

/** Something to ask. */
export type Question = LoginQuestion | SlotsQuestion;

/** The question for the requests of one call. */
export function slotsQuestion(
  requests: readonly LimitRequest[],
): SlotsQuestion {
  const slots = requests.filter((it) => "max" in it);
  const rates = requests.filter((it) => "perSecond" in it);
  return { kind: "slots", slots, fields: slots.map(fieldOf), rates };
}

/** Appends the keys and arguments of `MOVE` for questions, of which logins come first. */
export function writeQuestions(
  questions: readonly Question[],
  names: KeyNames,
  keys: string[],
  args: string[],
): void {
  const logins = questions.filter((it) => it.kind === "login");
  args.push(String(logins.length));
  for (const { client, trust } of logins) {
    keys.push(names.trusted(client));
    args.push(client, trust === undefined ? "" : String(trust));
  }
  args.push(String(questions.length - logins.length));
  for (const it of questions) {
    if (it.kind === "slots") writeSlots(it, names, keys, args);
  }
}

function writeSlots(
  { slots, fields, rates }: SlotsQuestion,
  names: KeyNames,
  keys: string[],
  args: string[],
): void {
  args.push(String(slots.length));
  slots.forEach(({ max }, i) => args.push(fields[i], limitText(max)));
  args.push(String(rates.length));
  for (const it of rates) {
    const each = 1_000 / it.perSecond;
    const all = each * Math.max(10, 2 * it.perSecond);
    args.push(String(each), String(all));
    keys.push(names.rate(it));
  }
}

/** A limit for Lua, which compares numbers. */
function limitText(max: number): string {
  return max === Infinity ? "1e308" : String(max);
}
