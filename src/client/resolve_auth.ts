/**
 * The choice of the authentication methods to offer.
 *
 * @module
 */

import { METHOD } from "../protocol/socks5.ts";
import { anonymous, type ClientAuth, passwordLogin } from "./auth.ts";
import { chapLogin } from "./chap_login.ts";
import type { ClientDialect } from "./dialect.ts";
import { hasLogin, type ProxyConfig } from "./proxy.ts";

const WITHOUT_LOGIN: readonly ClientAuth[] = [anonymous()];
const WITH_LOGIN: readonly ClientAuth[] = [anonymous(), passwordLogin()];
/** The methods that send the proxy's login. */
const LOGINS = new Map([
  [passwordLogin(), "passwordLogin()"],
  [chapLogin(), "chapLogin()"],
]);

/**
 * The methods to offer to a proxy: the given ones, by default none and, if the
 * proxy has a login, user name and password.
 *
 * @throws {TypeError} when the given ones cannot be offered.
 */
export function resolveAuth(
  given: readonly ClientAuth[] | undefined,
  proxy: ProxyConfig,
  dialect: ClientDialect,
): readonly ClientAuth[] {
  if (!given) return hasLogin(proxy) ? WITH_LOGIN : WITHOUT_LOGIN;
  if (!Array.isArray(given)) {
    throw new TypeError(
      "auth must be a list of methods, such as [passwordLogin()]",
    );
  }
  const numbers = new Set<number>();
  for (const method of given) {
    const { number } = method;
    if (!Number.isInteger(number) || number < 0 || number > 254) {
      throw new TypeError(
        `the number of an authentication method is 0 to 254, not ${number}`,
      );
    }
    if (numbers.has(number)) {
      throw new TypeError(`auth contains method ${number} twice`);
    }
    if (LOGINS.has(method) && !hasLogin(proxy)) {
      const name = LOGINS.get(method);
      throw new TypeError(`${name} needs a proxy with a username`);
    }
    numbers.add(number);
  }
  if (numbers.size === 0) throw new TypeError("auth contains no method");
  const isUsable = dialect.hasMethods || numbers.has(METHOD.none) ||
    dialect.carriesPassword && given.includes(passwordLogin());
  if (!isUsable) {
    throw new TypeError(
      `${dialect.protocol} has no authentication methods; use socks5: or add anonymous()`,
    );
  }
  return given;
}
