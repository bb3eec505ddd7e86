/**
 * The GSS-API library: native memory, buffers and errors.
 *
 * @module
 */

import { MAX_TOKEN } from "../../protocol/gssapi.ts";
import { GssError } from "../error.ts";
import type { GssFunctions, Pointer } from "../ffi/functions.ts";
import { describeStatus, type Status } from "./status.ts";
import {
  cString,
  pair,
  PAIR_SIZE,
  POINTER_SIZE,
  pointerIn,
  setPair,
  view,
} from "./structs.ts";

/** Kerberos 5: 1.2.840.113554.1.2.2. */
const KRB5 = Uint8Array.of(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2);
/** GSS_C_NT_HOSTBASED_SERVICE: 1.2.840.113554.1.2.1.4. */
const HOSTBASED = Uint8Array.of(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 1, 4);

/** GSS_C_INITIATE. */
const INITIATE = 1;
/** GSS_C_ACCEPT. */
const ACCEPT = 2;
/** GSS_C_INDEFINITE. */
const INDEFINITE = 0xffffffff;
/** The bits of a major status that are errors; the others are information. */
const ERRORS = 0xffff0000;
const MECH_CODE = 2;

/** Facts about a call that may have failed. */
export interface CallDetails extends Pick<Status, "subject" | "fallback"> {
  /** By default that of the last call. */
  readonly minor?: number;
}

/** An open library. It lives as long as the process. */
export class GssLibrary {
  readonly functions: GssFunctions;
  /** The OIDs of the mechanism and of the type of names, in native memory. */
  readonly krb5: Pointer;
  readonly hostbased: Pointer;
  /** Reused by all calls: none of them is interrupted by another one. */
  readonly minor: Uint8Array = new Uint8Array(4);
  readonly word: Uint8Array = new Uint8Array(4);
  readonly #minorView: DataView = view(this.minor);
  readonly #wordView: DataView = view(this.word);
  readonly #input: Uint8Array = new Uint8Array(PAIR_SIZE);
  readonly #inputView: DataView = view(this.#input);
  readonly output: Uint8Array = new Uint8Array(PAIR_SIZE);
  readonly #outputView: DataView = view(this.output);
  readonly #scratch: Pointer;

  constructor(functions: GssFunctions) {
    this.functions = functions;
    this.#scratch = functions.malloc(BigInt(MAX_TOKEN));
    this.krb5 = this.#oid(KRB5);
    this.hostbased = this.#oid(HOSTBASED);
  }

  #oid(bytes: Uint8Array): Pointer {
    return this.put(pair(bytes.length, this.put(bytes)));
  }

  /** Copies bytes into new native memory, which the caller frees. */
  put(bytes: Uint8Array): Pointer {
    const size = BigInt(bytes.length);
    const address = this.functions.malloc(size > 0n ? size : 1n);
    if (address === 0n) throw new GssError("other", "out of native memory");
    if (size > 0n) this.functions.copyIn(address, bytes, size);
    return address;
  }

  /** Copies bytes out of native memory. */
  get(address: Pointer, size: number): Uint8Array {
    const bytes = new Uint8Array(size);
    if (size > 0) this.functions.copyOut(bytes, address, BigInt(size));
    return bytes;
  }

  /** Calls `use` with a buffer that has these bytes. */
  withInput<T>(bytes: Uint8Array, use: (buffer: Uint8Array) => T): T {
    const { length } = bytes;
    const fits = length <= MAX_TOKEN;
    const address = fits ? this.#scratch : this.put(bytes);
    try {
      if (fits && length > 0) {
        this.functions.copyIn(address, bytes, BigInt(length));
      }
      setPair(this.#inputView, length, address);
      return use(this.#input);
    } finally {
      if (!fits) this.functions.free(address);
    }
  }

  /** Copies the output buffer of a call, and releases it. */
  takeOutput(): Uint8Array {
    const struct = this.#outputView;
    const address = struct.getBigUint64(POINTER_SIZE, true);
    if (address === 0n) return new Uint8Array(0);
    const size = Number(struct.getBigUint64(0, true));
    try {
      return this.get(address, size);
    } finally {
      this.functions.releaseBuffer(this.word, this.output);
      setPair(struct, 0, 0n);
    }
  }

  /** The minor status of the last call. */
  get minorStatus(): number {
    return this.#minorView.getUint32(0, true);
  }

  /** The output of the last call that is an integer. */
  get outputWord(): number {
    return this.#wordView.getUint32(0, true);
  }

  /** Throws if a call has failed. */
  check(major: number, details: CallDetails = {}): void {
    if ((major & ERRORS) === 0) return;
    const { minor = this.minorStatus, ...about } = details;
    const text = this.#statusText(minor, MECH_CODE);
    throw describeStatus({ ...about, major, minor: minor | 0, text });
  }

  #statusText(status: number, type: number): string {
    const more = new Uint8Array(4);
    // A call of its own must not overwrite the minor status of the one that has failed.
    const { functions, krb5, output } = this;
    const minor = new Uint8Array(4);
    const failed = functions.displayStatus(
      minor,
      status,
      type,
      krb5,
      more,
      output,
    );
    const text = new TextDecoder().decode(this.takeOutput());
    return failed === 0 ? text : "";
  }

  /** The text of a name, which is released. */
  takeName(name: Uint8Array): string {
    const { functions, output } = this;
    try {
      this.check(
        functions.displayName(this.minor, pointerIn(name), output, 0n),
      );
      return new TextDecoder().decode(this.takeOutput());
    } finally {
      functions.releaseName(this.word, name);
    }
  }

  /** The name of a service such as `rcmd@proxy.example.org`, which the caller releases. */
  async importService(service: string): Promise<Uint8Array> {
    const { functions, hostbased } = this;
    const text = new TextEncoder().encode(service);
    const bytes = this.put(text);
    const block = this.put(new Uint8Array(2 * POINTER_SIZE));
    const input = this.put(pair(text.length, bytes));
    try {
      const name = block + BigInt(POINTER_SIZE);
      const major = await functions.importName(block, input, hostbased, name);
      const results = this.get(block, 2 * POINTER_SIZE);
      const minor = view(results).getUint32(0, true);
      this.check(major, { subject: service, minor });
      return results.slice(POINTER_SIZE);
    } finally {
      for (const it of [bytes, input, block]) functions.free(it);
    }
  }

  /**
   * Throws unless there are any tickets, or a keytab to get them with. Reads only files of
   * this machine. Without this, the error of a thread does not name the cache, because the
   * library keeps its texts for each thread.
   */
  requireTickets(): void {
    this.#checkCache();
    const { functions, minor } = this;
    const mechs = this.put(pair(1, this.krb5));
    const cred = new Uint8Array(POINTER_SIZE);
    try {
      // deno-fmt-ignore
      const major = functions.acquireCredFrom(minor, 0n, INDEFINITE, mechs, INITIATE, 0n, cred,
        0n, 0n);
      this.check(major, { fallback: "no-ticket" });
      functions.releaseCred(this.word, cred);
    } finally {
      functions.free(mechs);
    }
  }

  /**
   * Throws if the default cache is damaged, for example empty: MIT Kerberos 1.20 then frees
   * a principal that it has not read, and may crash the process.
   */
  #checkCache(): void {
    const { functions } = this;
    const [context, cache, principal] = [0, 0, 0].map(() =>
      new Uint8Array(POINTER_SIZE)
    );
    if (functions.initContext(context) !== 0) return; // the next call fails as well
    const krb5 = pointerIn(context);
    try {
      if (functions.defaultCache(krb5, cache) !== 0) return;
      const code = this.#principalOf(krb5, pointerIn(cache), principal);
      if (code === 0) functions.freePrincipal(krb5, pointerIn(principal));
      else if (!MISSING.includes(code)) throw damagedCache();
    } finally {
      functions.freeContext(krb5);
    }
  }

  /** Reads the principal of a cache, and closes that. */
  #principalOf(krb5: Pointer, cache: Pointer, principal: Uint8Array): number {
    const { functions } = this;
    try {
      return functions.cachePrincipal(krb5, cache, principal);
    } finally {
      functions.closeCache(krb5, cache);
    }
  }

  /**
   * Acquires the credential of an acceptor for Kerberos alone: with a default one, MIT
   * Kerberos negotiates SPNEGO as well, and answers an empty token with a hint.
   *
   * @param keytab A path; by default that of the system.
   * @param service The only service to accept; by default any in the keytab.
   */
  async acquireAcceptor(keytab?: string, service?: string): Promise<Pointer> {
    const { functions, minor } = this;
    const name = service === undefined
      ? new Uint8Array(POINTER_SIZE)
      : await this.importService(service);
    const mechs = this.put(pair(1, this.krb5));
    const [key, value] = ["keytab", keytab ?? ""].map((it) =>
      this.put(cString(it))
    );
    const element = new Uint8Array(PAIR_SIZE);
    view(element).setBigUint64(0, key, true);
    view(element).setBigUint64(POINTER_SIZE, value, true);
    const elements = this.put(element);
    const store = this.put(pair(1, elements));
    const cred = new Uint8Array(POINTER_SIZE);
    try {
      // deno-fmt-ignore
      const major = functions.acquireCredFrom(minor, pointerIn(name), INDEFINITE, mechs, ACCEPT,
        keytab === undefined ? 0n : store, cred, 0n, 0n);
      this.check(major, { subject: keytab, fallback: "keytab" });
      return pointerIn(cred);
    } finally {
      for (const it of [mechs, key, value, elements, store]) functions.free(it);
      if (service !== undefined) functions.releaseName(this.word, name);
    }
  }
}

/** KRB5_CC_NOTFOUND and KRB5_FCC_NOFILE. */
const MISSING: readonly number[] = [-1765328243, -1765328189];

function damagedCache(): GssError {
  return new GssError(
    "no-ticket",
    "the credential cache cannot be read, and `klist` shows why: get a ticket with `kinit`",
  );
}
