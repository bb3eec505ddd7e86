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

/** The path of a request, and its parameters. */
export type Target = readonly [path: string, query?: Query];

/** Sends requests with the token. */
export interface Requests {
  /** Sends a request, and returns the answer. @throws {RequestError} */
  send<T>(method: string, path: string, query?: Query): Promise<T>;
  /**
   * Asks several things in one request. Each of them has an answer or an error of its own.
   *
   * @throws {RequestError}
   */
  ask(targets: readonly Target[]): Promise<readonly (() => unknown)[]>;
  /** Whether requests are sent with a token. */
  readonly hasToken: boolean;
  /** Uses this token from now on, until the tab is closed. */
  setToken(token: string): void;
}

interface ErrorBody {
  readonly error?: string;
  readonly problems?: readonly string[];
}

interface Batch {
  readonly answers: readonly {
    readonly status: number;
    readonly body: ErrorBody;
  }[];
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

  function urlOf([path, query = {}]: Target): string {
    const set = Object.entries(query).filter(([, it]) => it !== undefined);
    const search = new URLSearchParams(set as [string, string][]);
    return set.length > 0 ? `${path}?${search}` : path;
  }

  function bodyOf<T>(status: number, body: T & ErrorBody): T {
    if (status === 200) return body;
    const { error = `status ${status}`, problems } = body;
    throw Object.assign(new Error(error), { status, problems });
  }

  async function send<T>(
    method: string,
    path: string,
    query?: Query,
  ): Promise<T> {
    const response = await fetch(urlOf([path, query]), {
      method,
      headers: token ? { authorization: `Bearer ${token}` } : {},
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: AbortSignal.timeout(timeout),
    });
    const answer = await response.json().catch(() => ({}));
    return bodyOf<T>(response.status, answer);
  }

  async function ask(
    targets: readonly Target[],
  ): Promise<readonly (() => unknown)[]> {
    const gets = targets.map((it) => ["get", `/${urlOf(it)}`]);
    const { answers } = await send<Batch>(
      "GET",
      `batch?${new URLSearchParams(gets)}`,
    );
    return answers.map(({ status, body }) => () => bodyOf(status, body));
  }

  setToken(takeToken());
  // A link with another token, opened in the same tab, does not load the page again.
  browser.addEventListener("hashchange", () => {
    if (location.hash.startsWith("#token=")) setToken(takeToken());
  });
  return {
    send,
    ask,
    get hasToken() {
      return token !== "";
    },
    setToken,
  };
}
