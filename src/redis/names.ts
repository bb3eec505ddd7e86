/**
 * The names of a store's keys and fields.
 *
 * @module
 */

import type { LimitSlot } from "../server/cluster/store.ts";

/**
 * The key of a user, a client or a node as text for Redis. Different keys stay different:
 * half of a surrogate pair, which UTF-8 cannot encode, is escaped.
 */
export function safeKey(key: string): string {
  return /[\ud800-\udfff\\]/.test(key) ? JSON.stringify(key) : `'${key}`;
}

/** The key of which {@linkcode safeKey} has made this text. */
export function originalKey(text: string): string {
  return text.startsWith("'") ? text.slice(1) : JSON.parse(text);
}

/** The field of a slot. */
export function fieldOf({ limit, key }: LimitSlot): string {
  return `${limit}|${safeKey(key)}`;
}

/**
 * The names of keys. All of them have the prefix in braces, so that a cluster keeps them on
 * one of its servers.
 */
export class KeyNames {
  readonly totals: string;
  readonly nodes: string;
  readonly failing: string;
  readonly failures: string;
  readonly locked: string;
  readonly unlocks: string;
  /** Followed by a node. */
  readonly heldPrefix: string;
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = `{${prefix}}:`;
    this.totals = `${this.#prefix}totals`;
    this.nodes = `${this.#prefix}nodes`;
    this.failing = `${this.#prefix}failing`;
    this.failures = `${this.#prefix}failures`;
    this.locked = `${this.#prefix}locked`;
    this.unlocks = `${this.#prefix}unlocks`;
    this.heldPrefix = `${this.#prefix}held:`;
  }

  /** The rate of a limit and key. */
  rate(slot: LimitSlot): string {
    return `${this.#prefix}rate:${fieldOf(slot)}`;
  }

  /** The bytes of a user that pass. */
  pass(user: string): string {
    return `${this.#prefix}pass:${safeKey(user)}`;
  }

  /** Whether a node trusts a client, in the form of {@linkcode safeKey}. */
  trusted(client: string): string {
    return `${this.#prefix}trusted:${client}`;
  }

  /** What a user has transferred. */
  usage(user: string): string {
    return `${this.#prefix}usage:${safeKey(user)}`;
  }

  /** The last report of a node. */
  reported(node: string): string {
    return `${this.#prefix}reported:${node}`;
  }
}
