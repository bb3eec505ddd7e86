/**
 * Requests and responses between `fetch()` and the connections of HTTP.
 *
 * @module
 */

import type { Field } from "../../../protocol/http_head.ts";
import type { Stop } from "./stop.ts";
import type { Upload } from "./upload.ts";

/** A request. */
export interface Outgoing {
  readonly method: string;
  readonly url: URL;
  /** With names in lower case; without those of the framing. */
  readonly fields: readonly Field[];
  readonly content: Uint8Array | Upload | undefined;
}

/** A response. */
export interface Incoming {
  readonly status: number;
  readonly reason: string;
  /** With names in lower case. */
  readonly fields: readonly Field[];
  /** A `Uint8Array` if all of it has arrived with the header section. */
  readonly content: Uint8Array | ReadableStream<Uint8Array> | undefined;
}

/** A connection to an origin. */
export interface HttpConnection {
  /** Whether it has answered before. */
  readonly isUsed: boolean;
  /**
   * Sends a request, and resolves with the header section of the response.
   *
   * @throws {Unanswered} when the connection ends before anything of the response.
   */
  send(request: Outgoing, stop: Stop): Promise<Incoming>;
  /** Closes the connection; the requests on it fail. */
  destroy(): void;
}

/** A connection ended before anything of the response had arrived. */
export class Unanswered extends Error {
  override readonly name = "Unanswered";
  /** Whether the server says that it has not processed the request. */
  readonly isUnprocessed: boolean;

  constructor(isUnprocessed: boolean, cause?: unknown) {
    super("the connection was closed before the response", { cause });
    this.isUnprocessed = isUnprocessed;
  }
}

/** Whether a response with this status has no content, whatever its fields are. */
export function isEmpty(status: number, method: string): boolean {
  return status === 204 || status === 304 || method === "HEAD";
}
