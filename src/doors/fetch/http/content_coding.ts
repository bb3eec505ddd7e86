/**
 * The content codings that `fetch()` of Deno asks for (RFC 9110 section 8.4.1).
 *
 * @module
 */

import { brotliDecompressSync, gunzipSync } from "node:zlib";
import type { Field } from "../../../protocol/http_head.ts";
import type { Incoming, Outgoing } from "./messages.ts";

/** What is small enough to be decoded at once, before and after it. */
const SMALL = 64 * 1024;
const MAX_DECODED = 1024 * 1024;

const CODINGS: Readonly<
  Record<string, { format: string; decode: typeof gunzipSync }>
> = {
  gzip: { format: "gzip", decode: gunzipSync },
  br: { format: "brotli", decode: brotliDecompressSync },
};

/** The field that asks for codings, if the request has none. */
export function acceptEncoding(fields: readonly Field[]): Field | undefined {
  if (valueOf(fields, "accept-encoding") !== undefined) return undefined;
  // Parts of encoded content cannot be decoded.
  const isPart = valueOf(fields, "range") !== undefined;
  return ["accept-encoding", isPart ? "identity" : "gzip,br"];
}

/** The content of a response without the coding that the request has asked for. */
export function decoded(
  { content, fields }: Incoming,
  request: Outgoing,
): Incoming["content"] {
  if (!content) return undefined;
  const name = valueOf(fields, "content-encoding")?.toLowerCase() ?? "";
  const coding = Object.hasOwn(CODINGS, name) ? CODINGS[name] : undefined;
  if (!coding || !isWanted(request.fields)) return content;
  if (content instanceof ReadableStream) return through(content, coding.format);
  if (content.length === 0) return content;
  if (content.length <= SMALL) {
    try {
      return coding.decode(content, { maxOutputLength: MAX_DECODED });
    } catch {
      // It is larger, or the stream fails, too.
    }
  }
  return through(new Blob([content as BlobPart]).stream(), coding.format);
}

function isWanted(fields: readonly Field[]): boolean {
  return valueOf(fields, "range") === undefined &&
    valueOf(fields, "accept-encoding")?.toLowerCase() !== "identity";
}

function through(
  stream: ReadableStream<Uint8Array>,
  format: string,
): ReadableStream<Uint8Array> {
  const decoder = new DecompressionStream(format as CompressionFormat);
  return stream.pipeThrough(
    decoder as ReadableWritablePair<Uint8Array, Uint8Array>,
  );
}

function valueOf(fields: readonly Field[], wanted: string): string | undefined {
  return fields.find(([name]) => name === wanted)?.[1];
}
