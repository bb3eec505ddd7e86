/**
 * HTTP/2 connections (RFC 9113), by `node:http2`.
 *
 * @module
 */

import * as http2 from "node:http2";
import type { Socket } from "node:net";
import type { Field } from "../../../protocol/http_head.ts";
import { Download } from "./download.ts";
import {
  type HttpConnection,
  type Incoming,
  isEmpty,
  type Outgoing,
  Unanswered,
} from "./messages.ts";
import type { Stop } from "./stop.ts";
import { drained, Upload } from "./upload.ts";

/** How many octets of a response may be on their way, and those of all on a connection. */
const STREAM_WINDOW = 1024 * 1024;
const WINDOW = 16 * STREAM_WINDOW;

/** Fields of HTTP/1.1 connections (RFC 9113 section 8.2.2). */
const CONNECTION_FIELDS = new Set([
  "connection",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
]);

/** A connection, for many requests at a time. */
export class Http2Connection implements HttpConnection {
  readonly #session: http2.ClientHttp2Session;
  #streams = 0;
  /** How often something waits, for which the process has to go on. */
  #waits = 0;
  #isOpen = true;
  isUsed = false;
  /** When the last request was over, by `performance.now()`. */
  idleSince = performance.now();

  /** Takes an open TLS socket over. */
  constructor(origin: string, socket: Socket, onClose: () => void) {
    const session = http2.connect(origin, {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: STREAM_WINDOW },
    });
    this.#session = session;
    session.on("connect", () => session.setLocalWindowSize(WINDOW));
    const close = () => {
      this.#isOpen = false;
      onClose();
    };
    session.on("error", close); // the streams report it
    session.on("goaway", close);
    session.on("close", close);
    // The session of a socket that is closed by now would never say so.
    if (socket.destroyed) session.destroy();
    session.unref();
  }

  #wait(isWaiting: boolean): void {
    const before = this.#waits;
    this.#waits += isWaiting ? 1 : -1;
    if (before === 0) this.#session.ref();
    else if (this.#waits === 0) this.#session.unref();
  }

  /** Whether it takes more requests. */
  get isOpen(): boolean {
    return this.#isOpen && !this.#session.closed && !this.#session.destroyed;
  }

  get isIdle(): boolean {
    return this.#streams === 0;
  }

  async send(request: Outgoing, stop: Stop): Promise<Incoming> {
    stop.check();
    const stream = this.#open(request);
    const { content } = request;
    this.#wait(true);
    try {
      const receiving = this.#receive(stream, request, stop);
      if (content instanceof Upload) {
        stream.once("close", () => content.cancel());
        void this.#upload(stream, content);
      } else if (content) stream.end(content);
      else stream.end();
      const response = await receiving;
      this.isUsed = true;
      return response;
    } catch (error) {
      stop.end();
      throw error;
    } finally {
      this.#wait(false);
    }
  }

  async #upload(
    stream: http2.ClientHttp2Stream,
    content: Upload,
  ): Promise<void> {
    this.#wait(true);
    try {
      for (;;) {
        const octets = await content.next();
        if (stream.destroyed || stream.closed) return content.cancel();
        if (!octets) break;
        if (octets.length > 0 && !stream.write(octets)) await drained(stream);
      }
      stream.end();
    } catch (cause) {
      stream.destroy(
        new TypeError("fetch failed: the request body", { cause }),
      );
    } finally {
      this.#wait(false);
    }
  }

  #open({ method, url, fields, content }: Outgoing): http2.ClientHttp2Stream {
    const headers: Record<string, string> = {
      ":method": method,
      ":authority": url.host,
      ":scheme": "https",
      ":path": `${url.pathname}${url.search}`,
    };
    for (const [name, value] of fields) {
      if (!CONNECTION_FIELDS.has(name)) headers[name] = value;
    }
    if (content instanceof Uint8Array) {
      headers["content-length"] = `${content.length}`;
    }
    const session = this.#session;
    let stream: http2.ClientHttp2Stream;
    try {
      stream = session.request(headers, { endStream: content === undefined });
    } catch (error) {
      throw new Unanswered(true, error);
    }
    this.#streams++;
    stream.once("close", () => {
      this.#streams--;
      this.idleSince = performance.now();
    });
    return stream;
  }

  #receive(
    stream: http2.ClientHttp2Stream,
    { method }: Outgoing,
    stop: Stop,
  ): Promise<Incoming> {
    const { NGHTTP2_CANCEL } = http2.constants;
    return new Promise((resolve, reject) => {
      let hasResponse = false;
      let hasEnded = false;
      let isOver = false;
      /** How many octets are missing, if the response announces how many there are. */
      let missing: number | undefined;
      /** Returns whether it is the first time. */
      const over = () => {
        if (isOver) return false;
        stop.end();
        return isOver = true;
      };
      const body = new Download({
        resume: () => stream._read(0),
        abandon: () => void (over() && stream.close(NGHTTP2_CANCEL)),
        wait: (isWaiting) => this.#wait(isWaiting),
      });
      const fail = (error: unknown) => {
        if (!over()) return;
        body.fail(error);
        reject(error);
      };
      stop.action = (reason) => {
        fail(reason);
        stream.close(NGHTTP2_CANCEL);
      };
      const end = () => {
        // Servers may end a stream without an error, and without its last octet.
        if (missing) fail(failure(stream, true));
        else if (over()) body.close();
      };
      let size = 0;
      takeOctets(stream, (octets) => {
        if (octets) {
          size += octets.length;
          if (missing !== undefined) missing -= octets.length;
          return isOver || body.push(octets);
        }
        // Otherwise it is the end of the connection.
        hasEnded ||= !stream.destroyed && stream.rstCode === 0;
        if (hasEnded && hasResponse) end();
        return true;
      });
      stream.on("error", (error) => fail(failure(stream, hasResponse, error)));
      stream.on("close", () => fail(failure(stream, hasResponse)));
      stream.on("response", (headers, _flags, raw?: unknown) => {
        hasResponse = true;
        const status = headers[":status"]!;
        const hasNone = isEmpty(status, method);
        const content = hasNone ? undefined : body;
        const length = headers["content-length"];
        if (!hasNone && length !== undefined) missing = Number(length) - size;
        const fields = fieldsOf(headers, raw);
        resolve({ status, reason: "", fields, content });
        if (hasEnded) end();
      });
    });
  }

  /** Takes no more requests, and closes the connection when the last one is over. */
  retire(): void {
    this.#isOpen = false;
    this.#session.close();
  }

  destroy(): void {
    this.#isOpen = false;
    this.#session.destroy();
  }
}

/**
 * Passes the octets of a stream on, and `null` at the end. It must not keep any itself: Deno
 * drops those when the connection ends.
 */
function takeOctets(
  stream: http2.ClientHttp2Stream,
  take: (octets: Uint8Array | null) => boolean,
): void {
  const { push } = stream;
  stream.push = (octets: Uint8Array | null) => {
    const hasRoom = take(octets);
    if (octets) return hasRoom;
    stream.resume();
    return push.call(stream, null);
  };
  stream._read(0);
}

function failure(
  stream: http2.ClientHttp2Stream,
  hasResponse: boolean,
  cause?: Error,
): Error {
  if (!hasResponse) {
    const { NGHTTP2_REFUSED_STREAM } = http2.constants;
    return new Unanswered(stream.rstCode === NGHTTP2_REFUSED_STREAM, cause);
  }
  const message = cause?.message ?? "the response was cut off";
  return new TypeError(`fetch failed: ${message}`, { cause });
}

/** The list of names and values is the third argument of the event, if it has one. */
function fieldsOf(headers: object, raw: unknown): Field[] {
  const fields: Field[] = [];
  const add = (name: string, value: unknown) => {
    if (!name.startsWith(":")) fields.push([name, String(value)]);
  };
  if (Array.isArray(raw)) {
    for (let i = 0; i + 1 < raw.length; i += 2) add(raw[i], raw[i + 1]);
    return fields;
  }
  for (const [name, value] of Object.entries(headers)) {
    for (const it of Array.isArray(value) ? value : [value]) add(name, it);
  }
  return fields;
}
