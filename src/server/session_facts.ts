/**
 * The facts of a session that `JSON.stringify()` and `console.log()` show.
 *
 * @module
 */

import type { SessionFacts } from "./events.ts";

/** The members of {@linkcode SessionFacts}. */
const FACTS = Object.keys(
  {
    id: true,
    client: true,
    protocol: true,
    tls: true,
    version: true,
    method: true,
    user: true,
    sessionWord: true,
    userId: true,
    phase: true,
    command: true,
    target: true,
    targetAddr: true,
    boundAddr: true,
    via: true,
    reply: true,
    sent: true,
    received: true,
    datagrams: true,
    startedAt: true,
    duration: true,
  } satisfies Record<keyof SessionFacts, true>,
) as (keyof SessionFacts)[];

/** Copies the facts that are set. */
export function factsOf(session: SessionFacts): SessionFacts {
  const facts = FACTS.map((it) => [it, session[it]] as const);
  return Object.fromEntries(
    facts.filter(([, value]) => value !== undefined),
  ) as unknown as SessionFacts;
}
