/**
 * The functions of a GSS-API library over a memory that counts what is allocated, to
 * find leaks and memory that is released twice.
 *
 * @module
 */

import type { GssFunctions, Pointer } from "../../src/gssapi/ffi/functions.ts";

/** What a native function does in place of success. */
export type Failure = "fails" | "throws";

/** GSS_S_FAILURE and GSS_S_CONTINUE_NEEDED. */
const FAILED = 0xd0000;
const CONTINUE_NEEDED = 1;
/** Mutual authentication, confidentiality, integrity. */
const FLAGS = 2 | 16 | 32;

/** A library in which each function can be made to fail. */
export class ScriptedLibrary {
  /** What is allocated, by its address: `memory`, `name`, `context`, … */
  readonly live = new Map<Pointer, string>();
  /** The functions that fail, by their names. */
  readonly failures = new Map<string, Failure>();
  /** Is awaited by each function that runs on a thread. */
  onThread: () => unknown = () => {};
  readonly #bytes = new Map<Pointer, Uint8Array>();
  #next = 4_096n;

  /** How much of each kind is allocated. */
  get counts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const kind of this.live.values()) {
      counts[kind] = (counts[kind] ?? 0) + 1;
    }
    return counts;
  }

  #allocate(kind: string, bytes = new Uint8Array(1)): Pointer {
    const address = this.#next;
    this.#next += 1_048_576n;
    this.live.set(address, kind);
    this.#bytes.set(address, bytes);
    return address;
  }

  #release(kind: string, address: Pointer): void {
    if (this.live.get(address) !== kind) {
      throw new Error(`not a live ${kind}: ${address}`);
    }
    this.live.delete(address);
  }

  /** The bytes from an address, which may be inside an allocation. */
  #at(address: Pointer): Uint8Array {
    const start = address - address % 1_048_576n + 4_096n;
    if (!this.live.has(start)) throw new Error(`not allocated: ${address}`);
    return this.#bytes.get(start)!.subarray(Number(address - start));
  }

  #fill(output: Uint8Array, text: string): void {
    const bytes = new TextEncoder().encode(text);
    setPair(output, bytes.length, this.#allocate("buffer", bytes));
  }

  /** The status of a call; throws if it shall. */
  #status(name: string): number {
    const failure = this.failures.get(name);
    if (failure === "throws") throw new Error(`${name} cannot be called`);
    return failure ? FAILED : 0;
  }

  /** Allocates what a call returns by an address, unless it fails. */
  #open(name: string, kind: string, to: Uint8Array): number {
    const status = this.#status(name);
    if (status === 0) setPointer(to, this.#allocate(kind));
    return status;
  }

  #establish(cell: Pointer): void {
    const bytes = this.#at(cell);
    if (pointer(bytes) === 0n) setPointer(bytes, this.#allocate("context"));
  }

  /** All functions. */
  readonly functions: GssFunctions = {
    malloc: (size) =>
      this.#allocate("memory", new Uint8Array(Number(size)).fill(0xaa)),
    free: (address) => this.#release("memory", address),
    copyIn: (to, from, size) =>
      this.#at(to).set(from.subarray(0, Number(size))),
    copyOut: (to, from, size) =>
      to.set(this.#at(from).subarray(0, Number(size))),
    acquireCredFrom: (...args) => {
      const status = this.#status("acquireCredFrom");
      if (status === 0) setPointer(args[6], this.#allocate("cred"));
      return status;
    },
    releaseCred: (_minor, cred) => {
      this.#release("cred", pointer(cred));
      setPointer(cred, 0n);
      return 0;
    },
    acceptSecContext: (...args) => {
      const [, cell, , , , source, , output, flags] = args;
      const status = this.#status("acceptSecContext");
      this.#establish(cell);
      setPointer(source, this.#allocate("name"));
      this.#fill(output, "answer");
      new DataView(flags.buffer, flags.byteOffset).setUint32(0, FLAGS, true);
      return status;
    },
    deleteSecContext: (_minor, cell) => {
      const bytes = this.#at(cell);
      if (pointer(bytes) !== 0n) this.#release("context", pointer(bytes));
      setPointer(bytes, 0n);
      return 0;
    },
    displayName: (_minor, name, output) => {
      this.#at(name);
      const status = this.#status("displayName");
      if (status === 0) this.#fill(output, "alice@TEST");
      return status;
    },
    releaseName: (_minor, name) => {
      this.#release("name", pointer(name));
      setPointer(name, 0n);
      return 0;
    },
    displayStatus: (...args) => {
      this.#fill(args[5], "the reason");
      return 0;
    },
    wrap: (...args) => {
      const status = this.#status("wrap");
      args[5].fill(0);
      if (!this.failures.has("encryption")) args[5][0] = args[2];
      if (status === 0) this.#fill(args[6], "token");
      return status;
    },
    unwrap: (...args) => {
      const status = this.#status("unwrap");
      if (status === 0) this.#fill(args[3], "data");
      return status;
    },
    wrapSizeLimit: () => this.#status("wrapSizeLimit"),
    releaseBuffer: (_minor, buffer) => {
      this.#release("buffer", pointer(buffer.subarray(8)));
      setPair(buffer, 0, 0n);
      return 0;
    },
    initContext: (context) => this.#open("initContext", "krb5", context),
    freeContext: (context) => this.#release("krb5", context),
    defaultCache: (_context, cache) =>
      this.#open("defaultCache", "cache", cache),
    closeCache: (_context, cache) => {
      this.#release("cache", cache);
      return 0;
    },
    cachePrincipal: (_context, _cache, principal) =>
      this.#open("cachePrincipal", "principal", principal),
    freePrincipal: (_context, principal) =>
      this.#release("principal", principal),
    importName: async (...args) => {
      await this.onThread();
      const status = this.#status("importName");
      const name = status === 0 ? this.#allocate("name") : 0n;
      setPointer(this.#at(args[3] as Pointer), name);
      return status;
    },
    initSecContext: async (...args) => {
      const [, , cell, , , , , , input, , output, flags] = args as Pointer[];
      await this.onThread();
      this.#establish(cell);
      const status = this.#status("initSecContext");
      const isFirst = pointer(this.#at(input)) === 0n;
      if (isFirst) this.#fill(this.#at(output), "ticket");
      this.#at(flags).set([FLAGS, 0, 0, 0]);
      return status || (isFirst ? CONTINUE_NEEDED : 0);
    },
  };
}

function view({ buffer, byteOffset }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset);
}

function pointer(bytes: Uint8Array): Pointer {
  return view(bytes).getBigUint64(0, true);
}

function setPointer(bytes: Uint8Array, address: Pointer): void {
  view(bytes).setBigUint64(0, address, true);
}

function setPair(bytes: Uint8Array, length: number, address: Pointer): void {
  setPointer(bytes, BigInt(length));
  setPointer(bytes.subarray(8), address);
}
