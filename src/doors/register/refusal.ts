/**
 * What cannot go through the proxy, and therefore nowhere.
 *
 * @module
 */

/** The error of a call that would not go through the proxy. */
export function refusal(what: string): Error {
  const message = `socks5 register: ${what} cannot go through the proxy`;
  return Object.assign(new Error(message), { code: "EACCES" });
}

/** Replaces members of an object, if they exist, by functions that throw. */
export function refuse(
  object: object,
  prefix: string,
  names: readonly string[],
): void {
  for (const name of names.filter((it) => it in object)) {
    const value = function () {
      throw refusal(`${prefix}${name}`);
    };
    (object as Record<string, unknown>)[name] = value;
  }
}
