/**
 * The answers of the Admin API.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { ServerResponse } from "node:http";

/** An answer to a request. */
export interface Answer {
  /** @default {200} */
  readonly status?: number;
  /** A value for `JSON.stringify()`. */
  readonly body?: unknown;
  /** The body as JSON, if it is that already. */
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Called when the answer is sent, or the client is gone. */
  readonly afterwards?: () => void;
}

/** A request that is not granted. */
export class RequestError extends Error {
  /** Always `"RequestError"`. */
  override readonly name = "RequestError";
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  /** The message must not repeat a part of the request. */
  constructor(
    status: number,
    message: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

/** The fields of every answer: nothing keeps it, frames it, or lets other pages read it. */
const FIELDS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

/** The answer to a request that is not granted: `{ "error": "text" }`. */
export function errorAnswer(
  { status, message, headers }: RequestError,
): Answer {
  return { status, body: { error: message }, headers };
}

/** The body of an answer as JSON. */
export function jsonOf({ body, text }: Answer): string {
  return text ?? JSON.stringify(body);
}

/** Sends JSON. */
export function sendJson(response: ServerResponse, answer: Answer): void {
  const { status = 200, headers, afterwards } = answer;
  const type = "application/json; charset=utf-8";
  if (afterwards) response.once("close", afterwards);
  const fields = { "content-type": type, ...headers };
  send(response, status, `${jsonOf(answer)}\n`, fields);
}

/** Sends a page whose script and style have the nonce, and that loads nothing else. */
export function sendPage(
  response: ServerResponse,
  html: string,
  nonce: string,
): void {
  send(response, 200, html, {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": [
      "default-src 'none'",
      `script-src 'nonce-${nonce}'`,
      `style-src 'nonce-${nonce}'`,
      "connect-src 'self'",
      "img-src data:",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join("; "),
  });
}

function send(
  response: ServerResponse,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>>,
): void {
  response.writeHead(status, {
    ...FIELDS,
    "content-length": Buffer.byteLength(text),
    ...headers,
  });
  response.end(text);
}
