/**
 * The credential of an acceptor.
 *
 * @module
 */

import type { Pointer } from "../ffi/functions.ts";
import type { GssLibrary } from "./library.ts";
import { POINTER_SIZE, view } from "./structs.ts";

/**
 * The keys of an acceptor. The garbage collector releases them: an authentication method
 * has no end, and a program makes a new one when its configuration changes.
 */
export class Credential {
  readonly handle: Pointer;

  constructor(library: GssLibrary, handle: Pointer) {
    this.handle = handle;
    unused.register(this, { library, handle });
  }
}

/** What a credential leaves behind. */
interface Remains {
  readonly library: GssLibrary;
  readonly handle: Pointer;
}

const unused = new FinalizationRegistry<Remains>(release);

function release({ library: { functions, word }, handle }: Remains): void {
  const cell = new Uint8Array(POINTER_SIZE);
  view(cell).setBigUint64(0, handle, true);
  functions.releaseCred(word, cell);
}
