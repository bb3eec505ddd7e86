/**
 * The attributes of users, as the options of the server have them now.
 *
 * @module
 */

import type {
  UserAttributes,
  UserAttributesLookup,
} from "./user_attributes.ts";

/** Looks up attributes, and checks what user code returns. */
export class CurrentAttributes {
  /** Replaced by updates of the server. */
  lookUp: UserAttributesLookup | undefined;

  constructor(lookUp?: UserAttributesLookup) {
    this.lookUp = lookUp;
  }

  /**
   * The attributes of a user.
   *
   * @throws whatever the look-up throws, or a `TypeError` if it returns anything else.
   */
  of(user: string): UserAttributes | undefined {
    const attributes = this.lookUp?.(user);
    if (attributes !== undefined) checkAttributes(attributes);
    return attributes;
  }

  /** How many sessions a user may have, if it is another number than that of the limits. */
  readonly sessionsOf = (user: string): number | undefined =>
    limitOf(this.#known(user)?.sessions);

  /** How many bytes per second a user may transfer, if it is another number. */
  readonly rateOf = (user: string): number | undefined =>
    limitOf(this.#known(user)?.rate);

  /** A look-up that fails has refused the login; the limits of the server apply to others. */
  #known(user: string): UserAttributes | undefined {
    try {
      return this.of(user);
    } catch {
      return undefined;
    }
  }
}

/** Infinity means no limit. */
function limitOf(value: number | undefined): number | undefined {
  return value === undefined ? undefined : value || Infinity;
}

/** Throws a `TypeError` if user code has returned something else than attributes. */
function checkAttributes(attributes: UserAttributes): void {
  const isPlain = typeof attributes === "object" && attributes !== null &&
    !("then" in attributes);
  if (!isPlain) {
    throw new TypeError("the attributes of a user must be an object");
  }
  const { quota, until, sessions, rate, via } = attributes;
  const problem = quota !== undefined && !isQuota(quota)
    ? "quota must have bytes (a whole number from 1) and per (day or month)"
    : until !== undefined && !Number.isFinite(until)
    ? "until must be milliseconds since the epoch"
    : [sessions, rate].some((it) => it !== undefined && !isLimit(it))
    ? "sessions and rate must be whole numbers from 0"
    : via !== undefined && !Array.isArray(via)
    ? "via must be a list"
    : undefined;
  if (problem) throw new TypeError(`the attributes of a user: ${problem}`);
}

function isQuota({ bytes, per }: NonNullable<UserAttributes["quota"]>) {
  return Number.isSafeInteger(bytes) && bytes > 0 &&
    (per === "day" || per === "month");
}

function isLimit(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
