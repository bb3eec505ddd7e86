/**
 * A security context of the GSS-API library.
 *
 * @module
 */

import { GssError } from "../error.ts";
import type { Pointer } from "../ffi/functions.ts";
import type {
  GssContext,
  GssOrder,
  GssStep,
  GssUnwrapped,
} from "../provider.ts";
import type { CallDetails, GssLibrary } from "./library.ts";
import { POINTER_SIZE, pointerIn } from "./structs.ts";

/** Flags of a context (RFC 2744 section 5.19). */
const MUTUAL = 2;
const CONF = 16;
const INTEG = 32;

const CONTINUE_NEEDED = 1;
/** The informative bits of a major status, the gravest first. */
const ORDERS: readonly (readonly [bit: number, order: GssOrder])[] = [
  [2, "duplicate"],
  [4, "old"],
  [8, "late"],
  [16, "gap"],
];

/** The result of a native step. */
interface NativeStep {
  readonly major: number;
  readonly minor: number;
  readonly token: Uint8Array;
  readonly flags: number;
}

/** What an abandoned context leaves behind, for the garbage collector. */
interface Remains {
  readonly library: GssLibrary;
  readonly cell: Pointer;
}

const abandoned = new FinalizationRegistry<Remains>(release);

function release({ library: { functions, word }, cell }: Remains): void {
  functions.deleteSecContext(word, cell, 0n);
  functions.free(cell);
}

/** The parts that both sides share. */
export abstract class NativeContext implements GssContext {
  peer = "";
  mutual = false;
  integrity = false;
  confidentiality = false;
  protected readonly library: GssLibrary;
  /** The native memory that has the address of the context. */
  protected readonly cell: Pointer;
  /** The address of the context, once it is established. */
  #handle: Pointer = 0n;
  #closed = false;
  /** Whether another thread uses the context. */
  #busy = false;

  constructor(library: GssLibrary) {
    this.library = library;
    this.cell = library.put(new Uint8Array(POINTER_SIZE));
    abandoned.register(this, { library, cell: this.cell }, this);
  }

  abstract step(token: Uint8Array | null): GssStep | Promise<GssStep>;

  /** Checks the result of a step, and adopts it. */
  protected finish(
    { major, minor, token, flags }: NativeStep,
    about: CallDetails,
  ): GssStep {
    this.throwIfClosed();
    this.library.check(major, { ...about, minor });
    if (major & CONTINUE_NEEDED) return { token, done: false };
    this.mutual = (flags & MUTUAL) !== 0;
    this.integrity = (flags & INTEG) !== 0;
    this.confidentiality = (flags & CONF) !== 0;
    this.#handle = pointerIn(this.library.get(this.cell, POINTER_SIZE));
    return { token, done: true };
  }

  wrap(data: Uint8Array, confidential: boolean): Uint8Array {
    const { library } = this;
    const { functions, minor, output, word } = library;
    const handle = this.#established();
    const conf = confidential ? 1 : 0;
    const major = library.withInput(
      data,
      (input) => functions.wrap(minor, handle, conf, 0, input, word, output),
    );
    library.check(major);
    const isConfidential = library.outputWord !== 0;
    const token = library.takeOutput();
    if (isConfidential || !confidential) return token;
    throw new GssError("other", "the library did not encrypt");
  }

  unwrap(token: Uint8Array): GssUnwrapped {
    const { library } = this;
    const { functions, minor, output, word } = library;
    const handle = this.#established();
    const major = library.withInput(
      token,
      (input) => functions.unwrap(minor, handle, input, output, word, 0n),
    );
    const confidential = library.outputWord !== 0;
    const data = library.takeOutput();
    library.check(major);
    return { data, confidential, order: orderOf(major) };
  }

  wrapSizeLimit(maxToken: number, confidential: boolean): number {
    const { library } = this;
    const { functions, minor, word } = library;
    const handle = this.#established();
    const conf = confidential ? 1 : 0;
    library.check(
      functions.wrapSizeLimit(minor, handle, conf, 0, maxToken, word),
    );
    return library.outputWord;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    abandoned.unregister(this);
    if (!this.#busy) this.release();
  }

  /** Frees the native memory; called once. */
  protected release(): void {
    release({ library: this.library, cell: this.cell });
  }

  /** Runs work of another thread; the context is not freed until it is done. */
  protected async onThread<T>(work: () => Promise<T>): Promise<T> {
    this.throwIfClosed();
    this.#busy = true;
    try {
      return await work();
    } finally {
      this.#busy = false;
      if (this.#closed) this.release();
    }
  }

  protected throwIfClosed(): void {
    if (this.#closed) throw new GssError("closed", "the context is closed");
  }

  #established(): Pointer {
    this.throwIfClosed();
    if (this.#handle !== 0n) return this.#handle;
    throw new GssError("other", "the context is not established");
  }
}

function orderOf(major: number): GssOrder | undefined {
  if ((major & 0x1e) === 0) return undefined;
  return ORDERS.find(([bit]) => major & bit)![1];
}
