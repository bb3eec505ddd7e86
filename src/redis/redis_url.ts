/**
 * The URL of a Redis server.
 *
 * @module
 */

import { formatEndpoint } from "../protocol/address.ts";

/** Where Redis is, and how to log in. */
export interface RedisAddress {
  /** The path of a Unix socket, in place of `hostname` and `port`. */
  readonly path?: string;
  readonly hostname: string;
  readonly port: number;
  readonly tls: boolean;
  readonly username?: string;
  readonly password?: string;
  readonly database: number;
  /** The address without the login, for messages. */
  readonly shown: string;
}

const FORM =
  "must be a URL of Redis: redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], rediss://… for TLS, or unix:/PATH";

/**
 * Reads a URL: `redis://`, `rediss://` or `unix:/PATH`, the latter optionally with a query:
 * `?db=1`. Its errors never have the URL, which may have a password.
 *
 * @throws {TypeError} if it is none of them.
 */
export function parseRedisUrl(text: string): RedisAddress {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new TypeError(FORM);
  }
  switch (url.protocol) {
    case "redis:":
    case "rediss:":
      return ofHost(url);
    case "unix:":
      return ofSocket(url);
    default:
      throw new TypeError(FORM);
  }
}

function ofHost(url: URL): RedisAddress {
  const hostname = url.hostname.replace(/^\[(.*)\]$/, "$1");
  if (hostname === "" || url.search !== "" || url.hash !== "") {
    throw new TypeError(FORM);
  }
  const port = url.port === "" ? 6379 : Number(url.port);
  const shown = `${url.protocol}//${formatEndpoint({ hostname, port })}`;
  const database = databaseOf(url.pathname.replace(/^\//, ""));
  const tls = url.protocol === "rediss:";
  return { hostname, port, tls, ...loginOf(url), database, shown };
}

function ofSocket(url: URL): RedisAddress {
  const path = decoded(url.pathname);
  if (url.host !== "" || !path.startsWith("/") || path.length < 2) {
    throw new TypeError(FORM);
  }
  const database = databaseOf(url.searchParams.get("db") ?? "");
  const none = { hostname: "", port: 0, tls: false };
  return { ...none, path, database, shown: `unix:${path}` };
}

function loginOf(url: URL): Pick<RedisAddress, "username" | "password"> {
  return {
    ...url.username !== "" && { username: decoded(url.username) },
    ...url.password !== "" && { password: decoded(url.password) },
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new TypeError("must not have an invalid escape with %");
  }
}

function databaseOf(text: string): number {
  if (/^\d{0,4}$/.test(text)) return Number(text);
  throw new TypeError("must have a number as the database");
}

/** Removes the password from a message of a client or of Redis. */
export function withoutPassword(
  message: string,
  { password = "" }: Pick<RedisAddress, "password">,
): string {
  if (password === "") return message;
  return message.replaceAll(password, "***").replaceAll(
    encodeURIComponent(password),
    "***",
  );
}
