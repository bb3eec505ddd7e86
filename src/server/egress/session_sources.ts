/**
 * The addresses that a session connects from.
 *
 * @module
 */

import { sipHash } from "../../crypto/sip_hash.ts";
import type {
  LocalAddresses,
  LocalAddressProblem,
} from "../../transport/local_addresses.ts";
import { clientKey } from "../client_key.ts";
import type { ServerEvent, Session } from "../events.ts";
import type { EgressSettings } from "./egress_options.ts";
import { type Choice, SourceList } from "./source_list.ts";

/** The members of a session that are needed here. */
export interface EgressSession extends Session {
  readonly settings: { readonly egress: EgressSettings };
  /** Reports an event. */
  emit(event: ServerEvent): void;
}

/** The addresses of a verdict or of a user, for one session. */
export class SessionSources implements LocalAddresses {
  readonly #session: EgressSession;
  readonly #list: SourceList;

  /** @throws {TypeError} if they are no addresses or prefixes. */
  constructor(session: EgressSession, given: string | readonly string[]) {
    this.#session = session;
    this.#list = listOf(given);
  }

  get text(): string {
    return this.#list.text;
  }

  has(version: number): boolean {
    return this.#list.has(version);
  }

  of(version: number): Iterable<string> {
    return this.#list.order(version, choiceOf(this.#session));
  }

  onProblem(address: string, problem: LocalAddressProblem): void {
    const session = this.#session;
    session.emit({ type: "egress-failed", session, address, problem });
  }
}

/** The lists of rules and users, which are parsed once. */
const lists = new WeakMap<readonly string[], SourceList>();
/** Those of single addresses and prefixes, by their text. */
const texts = new Map<string, SourceList>();
const MAX_TEXTS = 1_000;

function listOf(given: string | readonly string[]): SourceList {
  if (typeof given !== "string" && !Array.isArray(given)) {
    throw new TypeError("an address to connect from is a text");
  }
  const known = typeof given === "string" ? texts.get(given) : lists.get(given);
  if (known) return known;
  if (typeof given !== "string") {
    const list = new SourceList(given);
    lists.set(given, list);
    return list;
  }
  const list = new SourceList([given]);
  if (texts.size >= MAX_TEXTS) texts.clear();
  texts.set(given, list);
  return list;
}

const encoder = new TextEncoder();

/**
 * The choice of a session, which needs no memory: it depends on the key, on who connects, and
 * on the period of time in which the session has started. So it is the same for all sessions
 * of a client in a period, on all workers, and from the start to the end of a session.
 */
export function choiceOf(session: EgressSession): Choice {
  const { settings: { egress: { key, sticky } }, startedAt, id } = session;
  const who = subjectOf(session);
  const hash = (text: string) => sipHash(key, encoder.encode(text));
  let period = "";
  if (sticky === 0) {
    period = `${startedAt} ${id}`;
  } else if (sticky !== Infinity) {
    const [low, high] = hash(`phase\0${who}`);
    const phase = (low + 256 * high) / 65_536;
    period = `${Math.floor(startedAt / sticky + phase)}`;
  }
  return (label) => hash(`${label}\0${period}\0${who}`);
}

/**
 * The key that an address is kept for: the user, with the session word if there is one, or
 * the client.
 */
function subjectOf({ user, sessionWord, client }: Session): string {
  if (user === undefined) return `client\0${clientKey(client.hostname)}`;
  return sessionWord === undefined
    ? `user\0${user}`
    : `word\0${sessionWord}\0${user}`;
}
