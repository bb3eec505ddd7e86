/**
 * The acceptor's side of a security context.
 *
 * @module
 */

import type { GssStep } from "../provider.ts";
import { NativeContext } from "./context.ts";
import type { Credential } from "./credential.ts";
import type { GssLibrary } from "./library.ts";
import { POINTER_SIZE, pointerIn } from "./structs.ts";

/** A context that a client establishes. It contacts no other machine, so it is synchronous. */
export class Acceptor extends NativeContext {
  readonly #credential: Credential;

  constructor(library: GssLibrary, credential: Credential) {
    super(library);
    this.#credential = credential;
  }

  step(token: Uint8Array | null): GssStep {
    this.throwIfClosed();
    const { library, cell } = this;
    const { functions, minor, output } = library;
    const source = new Uint8Array(POINTER_SIZE);
    // deno-fmt-ignore
    const major = library.withInput(token ?? new Uint8Array(0), (input) =>
      functions.acceptSecContext(minor, cell, this.#credential.handle, input, 0n, source, 0n, output,
        library.word, 0n, 0n));
    const status = library.minorStatus;
    const flags = library.outputWord;
    const answer = library.takeOutput();
    if (pointerIn(source) !== 0n) this.peer = library.takeName(source);
    const step = { major, minor: status, token: answer, flags };
    return this.finish(step, { fallback: "token" });
  }
}
