/**
 * SipHash-2-4, a fast keyed hash, which no runtime has.
 *
 * @module
 */

/** How long a key is, in bytes. */
export const SIP_KEY_SIZE = 16;

/**
 * Returns the hash of `data`, 8 bytes. Without the key, nobody can find out from hashes what
 * was hashed, or which data has a certain hash.
 *
 * @see https://www.aumasson.jp/siphash/siphash.pdf
 */
export function sipHash(key: Uint8Array, data: Uint8Array): Uint8Array {
  const keys = new DataView(key.buffer, key.byteOffset);
  const [k0, k1, k2, k3] = [0, 4, 8, 12].map((it) => keys.getUint32(it, true));
  // Four words of 64 bits, the lower half of each first.
  const v = Uint32Array.of(
    ...[k0 ^ 0x70736575, k1 ^ 0x736f6d65, k2 ^ 0x6e646f6d, k3 ^ 0x646f7261],
    ...[k0 ^ 0x6e657261, k1 ^ 0x6c796765, k2 ^ 0x79746573, k3 ^ 0x74656462],
  );
  const padded = new Uint8Array((data.length & ~7) + 8);
  padded.set(data);
  padded[padded.length - 1] = data.length;
  const view = new DataView(padded.buffer);
  for (let i = 0; i < padded.length; i += 8) {
    const low = view.getUint32(i, true);
    const high = view.getUint32(i + 4, true);
    v[6] ^= low;
    v[7] ^= high;
    rounds(v, 2);
    v[0] ^= low;
    v[1] ^= high;
  }
  v[4] ^= 0xff;
  rounds(v, 4);
  const hash = new DataView(new ArrayBuffer(8));
  hash.setUint32(0, v[0] ^ v[2] ^ v[4] ^ v[6], true);
  hash.setUint32(4, v[1] ^ v[3] ^ v[5] ^ v[7], true);
  return new Uint8Array(hash.buffer);
}

function rounds(v: Uint32Array, count: number): void {
  for (let i = 0; i < count; i++) {
    mix(v, 0, 2, 13);
    swap(v, 0);
    mix(v, 4, 6, 16);
    mix(v, 0, 6, 21);
    mix(v, 4, 2, 17);
    swap(v, 4);
  }
}

/** Adds the word at `b` to that at `a`, rotates it to the left, and combines it with the sum. */
function mix(v: Uint32Array, a: number, b: number, bits: number): void {
  const low = v[a] + v[b];
  v[a + 1] += v[b + 1] + (low > 0xffffffff ? 1 : 0);
  v[a] = low;
  const from = v[b];
  const top = v[b + 1];
  v[b] = (from << bits | top >>> (32 - bits)) ^ v[a];
  v[b + 1] = (top << bits | from >>> (32 - bits)) ^ v[a + 1];
}

/** Rotates a word by 32 bits. */
function swap(v: Uint32Array, at: number): void {
  const lower = v[at];
  v[at] = v[at + 1];
  v[at + 1] = lower;
}
