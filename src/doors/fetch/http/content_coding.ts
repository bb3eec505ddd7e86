/**
 * The content codings that `fetch()` of Deno asks for (RFC 9110 section 8.4.1).
 *
 * @module
 */

import { gunzipSync } from "node:zlib";
import type { Field } from "../../../protocol/http_head.ts";
import { Download } from "./download.ts";
import type { Incoming, Outgoing } from "./messages.ts";

/** What is small enough to be decoded at once, before and after it. */
const SMALL = 64 * 1024;
const MAX_DECODED = 1024 * 1024;

interface Coding {
  readonly format: string;
  /** Decodes what is small; `brotliDecompressSync()` of Deno does not notice a missing end. */
  readonly decode?: typeof gunzipSync;
}

const CODINGS: Readonly<Record<string, Coding>> = {
  gzip: { format: "gzip", decode: gunzipSync },
  br: { format: "brotli" },
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
): Uint8Array | ReadableStream<Uint8Array> | undefined {
  if (!content) return undefined;
  const name = valueOf(fields, "content-encoding")?.toLowerCase() ?? "";
  const coding = Object.hasOwn(CODINGS, name) ? CODINGS[name] : undefined;
  const isCoded = coding && isWanted(request.fields);
  const octets = content instanceof Download ? content.whole() : content;
  if (!octets) {
    const stream = (content as Download).open();
    return isCoded ? through(stream, coding.format) : stream;
  }
  if (!isCoded || octets.length === 0) return octets;
  if (coding.decode && octets.length <= SMALL) {
    try {
      return coding.decode(octets, { maxOutputLength: MAX_DECODED });
    } catch {
      // It is larger, or the stream fails, too.
    }
  }
  return through(new Blob([octets as BlobPart]).stream(), coding.format);
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
