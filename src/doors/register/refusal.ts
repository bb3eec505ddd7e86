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

/** Replaces members of an object, if they exist, by ones that throw at any use. */
export function refuse(
  object: object,
  prefix: string,
  names: readonly string[],
): void {
  for (const name of names.filter((it) => it in object)) {
    const fail = () => {
      throw refusal(`${prefix}${name}`);
    };
    const get = (_: unknown, key: unknown) =>
      typeof key === "symbol" ? undefined : fail();
    (object as Record<string, unknown>)[name] = new Proxy(
      class {},
      { get, apply: fail, construct: fail },
    );
  }
}
