/**
 * A GSS-API mechanism that any test can compute, with the checks of a real one: a
 * checksum, a sequence, and whether a token is encrypted.
 *
 * @module
 */

import {
  type GssContext,
  GssError,
  type GssOrder,
  type GssProvider,
  type GssStep,
  type GssUnwrapped,
} from "../../src/gssapi/mod.ts";

/** The client, in events. */
export const PRINCIPAL = "alice@TEST";
/** The only token that an acceptor takes, and its answer. */
export const TICKET: Uint8Array = new TextEncoder().encode(PRINCIPAL);
export const ANSWER: Uint8Array = Uint8Array.of(0x41, 0x50);

const KEY = 0x5a;
/** What a token has besides the data: flag, number, checksum. */
const OVERHEAD = 4;

/** Properties of the contexts of a {@linkcode ScriptedGss}. */
export interface ScriptedOptions {
  readonly mutual?: boolean;
  readonly integrity?: boolean;
  readonly confidentiality?: boolean;
  /** What an initiator has in place of {@linkcode TICKET}; acceptors take none but that. */
  readonly ticket?: string;
  /** Is called before each step of an initiator. */
  readonly beforeStep?: () => unknown;
}

/** A provider that knows how many of its contexts are open. */
export class ScriptedGss implements GssProvider {
  /** How many contexts have not been closed. */
  open = 0;
  /** The services that initiators were made for. */
  readonly services: string[] = [];
  readonly #options: ScriptedOptions;

  constructor(options: ScriptedOptions = {}) {
    this.#options = options;
  }

  accept(): ScriptedContext {
    return this.#add(new ScriptedContext(this, this.#options, ""));
  }

  initiate(service: string): ScriptedContext {
    this.services.push(service);
    return this.#add(new ScriptedContext(this, this.#options, service));
  }

  #add(context: ScriptedContext): ScriptedContext {
    this.open++;
    return context;
  }
}

/** One side of a context; an initiator if it has a service. */
export class ScriptedContext implements GssContext {
  peer: string;
  readonly mutual: boolean;
  readonly integrity: boolean;
  readonly confidentiality: boolean;
  readonly #owner: ScriptedGss;
  readonly #options: ScriptedOptions;
  readonly #service: string;
  #closed = false;
  #sent = 0;
  #expected = 0;
  readonly #seen = new Set<number>();

  constructor(owner: ScriptedGss, options: ScriptedOptions, service: string) {
    this.#owner = owner;
    this.#options = options;
    this.#service = service;
    this.peer = service;
    this.mutual = options.mutual ?? true;
    this.integrity = options.integrity ?? true;
    this.confidentiality = options.confidentiality ?? true;
  }

  step(token: Uint8Array | null): GssStep | Promise<GssStep> {
    this.#check();
    return this.#service ? this.#initiate(token) : this.#accept(token!);
  }

  async #initiate(token: Uint8Array | null): Promise<GssStep> {
    await this.#options.beforeStep?.();
    if (token === null) return { token: this.#ticket(), done: false };
    if (`${token}` !== `${ANSWER}`) throw new Error("not the answer");
    return { token: new Uint8Array(0), done: true };
  }

  #ticket(): Uint8Array {
    const { ticket = PRINCIPAL } = this.#options;
    return new TextEncoder().encode(ticket);
  }

  #accept(token: Uint8Array): GssStep {
    if (`${token}` !== `${TICKET}`) {
      throw new GssError("token", "not the ticket");
    }
    this.peer = PRINCIPAL;
    return { token: ANSWER, done: true };
  }

  wrap(data: Uint8Array, confidential: boolean): Uint8Array {
    this.#check();
    return token(data, confidential, this.#sent++);
  }

  unwrap(token: Uint8Array): GssUnwrapped {
    this.#check();
    const body = token.subarray(0, -1);
    if (token.length < OVERHEAD || token.at(-1) !== sum(body)) {
      throw new Error("the checksum is wrong");
    }
    const number = token[1] << 8 | token[2];
    const order = this.#orderOf(number);
    const data = body.slice(3).map((it) => it ^ KEY);
    return { data, confidential: token[0] === 1, order };
  }

  #orderOf(number: number): GssOrder | undefined {
    if (this.#seen.has(number)) return "duplicate";
    this.#seen.add(number);
    const expected = this.#expected;
    this.#expected = Math.max(expected, number + 1);
    if (number === expected) return undefined;
    return number < expected ? "late" : "gap";
  }

  wrapSizeLimit(maxToken: number): number {
    this.#check();
    return maxToken - OVERHEAD;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#owner.open--;
  }

  #check(): void {
    if (this.#closed) throw new Error("used after it was closed");
  }
}

/** A token of data with its number in the sequence. */
export function token(
  data: Uint8Array,
  confidential: boolean,
  number: number,
): Uint8Array {
  const body = new Uint8Array(3 + data.length);
  body.set([confidential ? 1 : 0, number >> 8, number & 255]);
  for (let i = 0; i < data.length; i++) body[3 + i] = data[i] ^ KEY;
  const whole = new Uint8Array(body.length + 1);
  whole.set(body);
  whole[body.length] = sum(body);
  return whole;
}

function sum(bytes: Uint8Array): number {
  let total = 0;
  for (const byte of bytes) total = total + byte & 0xff;
  return total;
}
