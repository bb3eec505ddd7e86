/**
 * Redirects as `fetch()` follows them (Fetch standard, "HTTP-redirect fetch"), for calls
 * whose every request needs an option of its own.
 *
 * @module
 */

import type { Call } from "./way.ts";

/** One request of a call. */
export interface Step {
  readonly url: URL;
  readonly input: string | Request;
  readonly init: RequestInit;
}

/** The largest number of redirects. */
const MAX_REDIRECTS = 20;

const STATUSES = new Set([301, 302, 303, 307, 308]);

/** The fields that describe a body. */
const OF_BODY = [
  "content-encoding",
  "content-language",
  "content-length",
  "content-location",
  "content-type",
];

/** The fields that another origin does not get. */
const OF_ORIGIN = ["authorization", "cookie", "host", "proxy-authorization"];

/**
 * Whether a call can be made again after a redirect: it has no body, or one that can be
 * read again and cannot change.
 */
export function isRepeatable({ input, init: { body } }: Call): boolean {
  if (typeof body === "string" || body instanceof Blob) return true;
  if (body !== undefined && body !== null) return false;
  return typeof input === "string" || input.body === null;
}

/** Makes a repeatable call, and follows the redirects if it is to do so. */
export async function followRedirects(
  call: Call,
  send: (step: Step) => Promise<Response>,
): Promise<Response> {
  const { input, init } = call;
  const request = typeof input === "string" ? undefined : input;
  const first = { url: new URL(call.url), input, init };
  const mode = init.redirect ?? request?.redirect ?? "follow";
  if (mode !== "follow") return await send(first);
  const { signal } = call;
  const headers = new Headers(init.headers ?? request?.headers);
  const login = loginIn(first.url);
  if (login && !headers.has("authorization")) {
    headers.set("authorization", login);
  }
  const method = init.method ?? request?.method ?? "GET";
  let step: Step = { ...first, init: { ...init, redirect: "manual" } };
  let own: RequestInit = { ...step.init, method, headers, signal };
  for (let count = 0;; count++) {
    const response = await send(step);
    const location = locationOf(response);
    if (location === undefined) {
      return count > 0 ? redirected(response) : response;
    }
    await response.body?.cancel();
    const url = nextUrl(location, step.url);
    if (count === MAX_REDIRECTS) throw new TypeError("too many redirects");
    own = nextInit(own, response.status, step.url, url);
    step = { url, input: url.href, init: own };
  }
}

/** Where a response leads to, if it does. */
function locationOf({ status, headers }: Response): string | undefined {
  return STATUSES.has(status)
    ? headers.get("location") ?? undefined
    : undefined;
}

/** @throws {TypeError} if it is no URL that may be followed. */
function nextUrl(location: string, from: URL): URL {
  const url = new URL(location, from);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new TypeError(`a redirect leads to ${url.protocol}`);
  }
  if (!url.hash) url.hash = from.hash;
  // The login of the first URL is a header field by now, and a server chooses none.
  url.username = url.password = "";
  return url;
}

/** The login of a URL, as runtimes send it. */
export function loginIn({ username, password }: URL): string | undefined {
  if (!username && !password) return undefined;
  const octets = `${username}:${password}`.replace(
    /%([\da-f]{2})/gi,
    (_, hex) => String.fromCharCode(parseInt(hex, 16)),
  );
  return `Basic ${btoa(octets)}`;
}

function nextInit(
  init: RequestInit,
  status: number,
  from: URL,
  to: URL,
): RequestInit {
  const method = init.method!.toUpperCase();
  const headers = init.headers as Headers;
  if (from.origin !== to.origin) remove(headers, OF_ORIGIN);
  const isGet = status === 303
    ? method !== "GET" && method !== "HEAD"
    : status < 303 && method === "POST";
  if (!isGet) return init;
  remove(headers, OF_BODY);
  return { ...init, method: "GET", body: undefined };
}

function remove(headers: Headers, names: readonly string[]): void {
  for (const name of names) headers.delete(name);
}

/** The response of the last request does not know that there were others. */
function redirected(response: Response): Response {
  const { clone } = response;
  return Object.defineProperties(response, {
    redirected: { value: true },
    clone: { value: () => redirected(clone.call(response)) },
  });
}
