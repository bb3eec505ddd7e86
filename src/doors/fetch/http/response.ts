/**
 * `Response`s as the runtime's `fetch()` returns them.
 *
 * @module
 */

import { STATUS_CODES } from "node:http";
import { Download } from "./download.ts";
import type { Incoming, Outgoing } from "./messages.ts";
import { decoded } from "./content_coding.ts";

/** Returns the response to this request. */
export function toResponse(incoming: Incoming, request: Outgoing): Response {
  const { status, fields } = incoming;
  const url = withoutHash(request.url);
  return new FetchedResponse(bodyOf(incoming, request), status, url, {
    status: isKnown(status) ? status : 200,
    statusText: STATUS_CODES[status] ?? "",
    headers: fields as [string, string][],
  });
}

/** Has what only `fetch()` itself can set. */
class FetchedResponse extends Response {
  readonly #status: number;
  readonly #url: string;

  constructor(
    body: BodyInit | null,
    status: number,
    url: string,
    init: ResponseInit,
  ) {
    super(body, init);
    this.#status = status;
    this.#url = url;
  }

  override get status(): number {
    return this.#status;
  }

  override get ok(): boolean {
    return this.#status >= 200 && this.#status < 300;
  }

  override get url(): string {
    return this.#url;
  }

  override get type(): ResponseType {
    return "basic";
  }

  override clone(): Response {
    return dressed(super.clone(), this.#status, this.#url);
  }
}

/** The statuses that the constructor takes; servers have others. */
function isKnown(status: number): boolean {
  return status <= 599;
}

function bodyOf(incoming: Incoming, request: Outgoing): BodyInit | null {
  const { status, content } = incoming;
  const isNull = status === 204 || status === 205 || status === 304;
  if (!isNull) return decoded(incoming, request) as BodyInit ?? null;
  if (content instanceof Download) content.abandon();
  return null;
}

function withoutHash({ href, hash }: URL): string {
  return hash ? href.slice(0, -hash.length) : href;
}

/** The same for a clone, which is no {@linkcode FetchedResponse}. */
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
