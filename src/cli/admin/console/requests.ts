/**
 * The console's requests to the admin API.
 *
 * @module
 */

import type { Browser } from "./browser.ts";

/** Parameters of a request; those that are `undefined` are left out. */
export type Query = Record<string, string | number | undefined>;

/** Why a request failed; without a status there was no answer. */
export interface RequestError extends Error {
  readonly status?: number;
  /** The reasons of a reload that was refused. */
  readonly problems?: readonly string[];
}

/** Sends requests with the token. */
export interface Requests {
  /** Sends a request, and returns the answer. @throws {RequestError} */
  send<T>(method: string, path: string, query?: Query): Promise<T>;
  /** Whether requests are sent with a token. */
  readonly hasToken: boolean;
  /** Uses this token from now on, until the tab is closed. */
  setToken(token: string): void;
}

/** Part of the page's script: must not refer to anything outside. */
export function requests(browser: Browser): Requests {
  const { sessionStorage, location, history } = browser;
  /** How long an answer may take, in milliseconds. */
  const timeout = 10_000;
  const key = "socks5-token";

  function takeToken(): string {
    const given = /^#token=(.+)$/.exec(location.hash)?.[1];
    if (given === undefined) return sessionStorage.getItem(key) ?? "";
    // Out of the address bar, the history and what users copy from there.
    history.replaceState(null, "", location.pathname);
    try {
      return decodeURIComponent(given);
    } catch {
      return given;
    }
  }

  let token = "";

  function setToken(value: string): void {
    token = value;
    sessionStorage.setItem(key, value);
  }

  async function send<T>(
    method: string,
    path: string,
    query: Query = {},
  ): Promise<T> {
    const set = Object.entries(query).filter(([, it]) => it !== undefined);
    const search = new URLSearchParams(set as [string, string][]);
    const response = await fetch(set.length > 0 ? `${path}?${search}` : path, {
      method,
      headers: token ? { authorization: `Bearer ${token}` } : {},
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: AbortSignal.timeout(timeout),
    });
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    const { error = `status ${response.status}`, problems } = answer;
    throw Object.assign(new Error(error), {
      status: response.status,
      problems,
    });
  }

  setToken(takeToken());
  // A link with another token, opened in the same tab, does not load the page again.
  browser.addEventListener("hashchange", () => {
    if (location.hash.startsWith("#token=")) setToken(takeToken());
  });
  return {
    send,
    get hasToken() {
      return token !== "";
    },
    setToken,
  };
}
