/**
 * The C structures of GSS-API on 64-bit little-endian machines.
 *
 * @module
 */

import type { Pointer } from "../ffi/functions.ts";

// struct gss_buffer_desc { size_t length; void *value; }
// struct gss_OID_desc { OM_uint32 length; void *elements; }      the length is padded
// struct gss_OID_set_desc { size_t count; gss_OID elements; }

/** The size of a pointer, in bytes. */
export const POINTER_SIZE = 8;
/** The size of each of the structures above. */
export const PAIR_SIZE = 16;

/** Views an array as a structure. */
export function view({ buffer, byteOffset, length }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, length);
}

/** One of the structures above: a length or a count, and an address. */
export function pair(length: number, address: Pointer): Uint8Array {
  const bytes = new Uint8Array(PAIR_SIZE);
  setPair(view(bytes), length, address);
  return bytes;
}

/** Sets the members of such a structure. */
export function setPair(
  struct: DataView,
  length: number,
  address: Pointer,
): void {
  struct.setBigUint64(0, BigInt(length), true);
  struct.setBigUint64(POINTER_SIZE, address, true);
}

/** A 64-bit integer. */
export function pointerIn(bytes: Uint8Array, offset = 0): Pointer {
  return view(bytes).getBigUint64(offset, true);
}

/** Text that ends with a zero, as C has it. */
export function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}
