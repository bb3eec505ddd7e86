/**
 * The initiator's side of a security context.
 *
 * @module
 */

import type { Pointer } from "../ffi/functions.ts";
import type { GssStep } from "../provider.ts";
import { NativeContext } from "./context.ts";
import type { GssLibrary } from "./library.ts";
import { pair, PAIR_SIZE, pointerIn, view } from "./structs.ts";

/** Mutual authentication, replay and sequence detection, confidentiality, integrity. */
const FLAGS = 2 | 4 | 8 | 16 | 32;

/** The results of a step in native memory: minor status, flags, output buffer. */
const MINOR = 0;
const RETURNED_FLAGS = 8;
const OUTPUT = 16;
const RESULTS_SIZE = OUTPUT + PAIR_SIZE;

/** A context with a service. Its steps may contact a KDC, and run on another thread. */
export class Initiator extends NativeContext {
  override readonly peer: string;
  /** The service as a native name, once a step has needed it. */
  #name: Uint8Array | undefined;

  constructor(library: GssLibrary, service: string) {
    super(library);
    this.peer = service;
  }

  async step(token: Uint8Array | null): Promise<GssStep> {
    this.throwIfClosed();
    if (token === null) this.library.requireTickets();
    const result = await this.onThread(async () => {
      this.#name ??= await this.library.importService(this.peer);
      return await this.#init(pointerIn(this.#name), token);
    });
    return this.finish(result, { subject: this.peer });
  }

  async #init(name: Pointer, token: Uint8Array | null) {
    const { library, cell } = this;
    const { functions, krb5 } = library;
    const bytes = library.put(token ?? new Uint8Array(0));
    const input = library.put(pair(token?.length ?? 0, bytes));
    const results = library.put(new Uint8Array(RESULTS_SIZE));
    const at = (offset: number) => results + BigInt(offset);
    try {
      // deno-fmt-ignore
      const major = await functions.initSecContext(at(MINOR), 0n, cell, name, krb5, FLAGS, 0, 0n,
        input, 0n, at(OUTPUT), at(RETURNED_FLAGS), 0n);
      const struct = library.get(results, RESULTS_SIZE);
      library.output.set(struct.subarray(OUTPUT));
      return {
        major,
        minor: view(struct).getUint32(MINOR, true),
        flags: view(struct).getUint32(RETURNED_FLAGS, true),
        token: library.takeOutput(),
      };
    } finally {
      for (const it of [bytes, input, results]) functions.free(it);
    }
  }

  protected override release(): void {
    super.release();
    const { functions, word } = this.library;
    if (this.#name) functions.releaseName(word, this.#name);
  }
}
