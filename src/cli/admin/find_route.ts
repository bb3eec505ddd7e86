/**
 * Finds the route of a request.
 *
 * @module
 */

import { RequestError } from "./answer.ts";

/** A route, and what a request gives it. */
export interface FoundRoute<R> {
  readonly route: R;
  /** What stands for `{item}` in the path of the route. */
  readonly item: string;
  /** What follows `?`. */
  readonly query: string;
}

/**
 * Finds the route of a method and a request target, such as `/sessions?limit=3`.
 *
 * @throws {RequestError} 400, 404 or 405.
 */
export function findRoute<R extends { readonly method: string; path: string }>(
  routes: readonly R[],
  method: string,
  target: string,
): FoundRoute<R> {
  const [, path, query = ""] = /^([^?]*)(?:\?(.*))?$/s.exec(target)!;
  const found = routes.flatMap((route) => {
    const item = itemOf(path, route.path);
    return item === undefined ? [] : [{ route, item, query }];
  });
  const right = found.find(({ route }) => route.method === method);
  if (right) return right;
  const methods = found.map(({ route }) => route.method);
  if (path === "/") methods.push("GET"); // the console
  if (methods.length === 0) {
    throw new RequestError(404, "not found: see /openapi.json");
  }
  const allow = methods.join(", ");
  throw new RequestError(405, `only ${allow} is allowed`, { allow });
}

/** What stands for `{item}` in the path of a route; `undefined` if the path is another one. */
function itemOf(path: string, pattern: string): string | undefined {
  const [, fixed, open] = /^([^{]*)(\{\w+\})?$/.exec(pattern)!;
  if (open === undefined) return path === fixed ? "" : undefined;
  const rest = path.startsWith(fixed) ? path.slice(fixed.length) : "";
  if (rest === "" || rest.includes("/")) return undefined;
  try {
    return decodeURIComponent(rest);
  } catch {
    throw new RequestError(400, "the path is not valid UTF-8");
  }
}
