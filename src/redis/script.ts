/**
 * A script that Redis executes.
 *
 * @module
 */

import type { RedisClient } from "./client.ts";

/** A script in Lua, sent by its hash once Redis knows it. */
export class Script {
  readonly #text: string;
  #hash: string | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  /** The hash in hexadecimal, once it was computed. */
  get hash(): string | undefined {
    return this.#hash;
  }

  /** Computes the hash, before the first {@linkcode run}. */
  async prepare(): Promise<void> {
    if (this.#hash !== undefined) return;
    const octets = new TextEncoder().encode(this.#text);
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-1", octets));
    this.#hash = Array.from(hash, (it) => it.toString(16).padStart(2, "0"))
      .join("");
  }

  /** Executes the script. It is sent as a whole if Redis does not know it. */
  async run(
    client: RedisClient,
    keys: readonly string[],
    args: readonly string[],
  ): Promise<unknown> {
    const rest = [String(keys.length), ...keys, ...args];
    try {
      return await client.send("EVALSHA", [this.#hash!, ...rest]);
    } catch (error) {
      if (!isUnknown(error)) throw error;
      return await client.send("EVAL", [this.#text, ...rest]);
    }
  }
}

function isUnknown(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("NOSCRIPT");
}
