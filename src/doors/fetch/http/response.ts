/**
 * `Response`s as the runtime's `fetch()` returns them.
 *
 * @module
 */

import { STATUS_CODES } from "node:http";
import type { Incoming, Outgoing } from "./messages.ts";
import { decoded } from "./content_coding.ts";

/** Returns the response to this request. */
export function toResponse(incoming: Incoming, request: Outgoing): Response {
  const { status, fields } = incoming;
  const response = new Response(bodyOf(incoming, request), {
    status: isKnown(status) ? status : 200,
    statusText: STATUS_CODES[status] ?? "",
    headers: fields as [string, string][],
  });
  return dressed(response, status, withoutHash(request.url));
}

/** The statuses that the constructor takes; servers have others. */
function isKnown(status: number): boolean {
  return status <= 599;
}

function bodyOf(incoming: Incoming, request: Outgoing): BodyInit | null {
  const { status, content } = incoming;
  const isNull = status === 204 || status === 205 || status === 304;
  if (!isNull) return decoded(incoming, request) as BodyInit ?? null;
  if (content instanceof ReadableStream) void content.cancel();
  return null;
}

function withoutHash({ href, hash }: URL): string {
  return hash ? href.slice(0, -hash.length) : href;
}

/** Sets what only `fetch()` itself can set. */
function dressed(response: Response, status: number, url: string): Response {
  return Object.defineProperties(response, {
    url: { value: url },
    type: { value: "basic" },
    ...!isKnown(status) && { status: { value: status }, ok: { value: false } },
    clone: {
      configurable: true,
      value: () =>
        dressed(Response.prototype.clone.call(response), status, url),
    },
  });
}
