/**
 * HTTP/1.1 connections (RFC 9112).
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import {
  type BodyDecoder,
  bodyDecoder,
  type BodyLength,
  encodeChunk,
  LAST_CHUNK,
} from "../../../protocol/http_body.ts";
import {
  type Field,
  findHeadEnd,
  parseFieldLines,
} from "../../../protocol/http_head.ts";
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

/** Content up to this size is sent in one piece with the header section. */
const SMALL = 16 * 1024;

/** How many interim responses may come before the final one. */
const MAX_INTERIM = 64;

/** What becomes of a connection. */
export interface Http1Events {
  /** It can be used for the next request, for so many milliseconds. */
  onIdle(connection: Http1Connection, ms: number): void;
  onClose(connection: Http1Connection): void;
}

/** A connection, for one request at a time. */
export class Http1Connection implements HttpConnection {
  readonly #socket: Socket;
  readonly #events: Http1Events;
  #exchange: Exchange | undefined;
  isUsed = false;

  /** Takes an open socket over. */
  constructor(socket: Socket, events: Http1Events) {
    this.#socket = socket;
    this.#events = events;
    socket.on("data", (chunk) => this.#onData(chunk));
    socket.on("end", () => this.#onEnd());
    socket.on("error", (error) => this.#onEnd(error));
    socket.on("close", () => {
      this.#onEnd(CUT_OFF); // without an "end" before
      events.onClose(this);
    });
  }

  get isOpen(): boolean {
    const { destroyed, readable, writable } = this.#socket;
    return !destroyed && readable && writable;
  }

  async send(request: Outgoing, stop: Stop): Promise<Incoming> {
    const socket = this.#socket;
    try {
      stop.check(); // it may have fired at the moment when the connection was opened
    } catch (reason) {
      this.destroy();
      throw reason;
    }
    if (this.isUsed) socket.ref();
    return await new Promise((resolve, reject) => {
      const settle = { resolve, reject };
      const exchange = new Exchange(socket, request, stop, settle);
      this.#exchange = exchange;
      exchange.onDone = (ms) => this.#finish(ms);
      exchange.start();
    });
  }

  #onData(chunk: Uint8Array): void {
    // Nothing was asked for.
    if (!this.#exchange) return this.destroy();
    this.#exchange.take(chunk);
  }

  #onEnd(error?: Error): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.end(error);
    this.#socket.destroy();
  }

  #finish(ms: number): void {
    this.#exchange = undefined;
    this.isUsed = true;
    if (ms <= 0 || !this.isOpen) return this.destroy();
    this.#socket.unref();
    this.#events.onIdle(this, ms);
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/** Settles the promise of the response. */
interface Settle {
  resolve(response: Incoming): void;
  reject(error: unknown): void;
}

/** A request and its response. */
class Exchange {
  readonly #socket: Socket;
  readonly #request: Outgoing;
  readonly #stop: Stop;
  readonly #settle: Settle;
  /** Called with how long the connection can be kept. */
  onDone: (ms: number) => void = () => {};
  /** Of an incomplete header section. */
  #octets: Uint8Array | undefined;
  #interim = 0;
  #decoder: BodyDecoder | undefined;
  #length: BodyLength = 0;
  #keptFor = 0;
  #download: Download | undefined;
  #isSent = false;
  #isOver = false;

  constructor(
    socket: Socket,
    request: Outgoing,
    stop: Stop,
    settle: Settle,
  ) {
    this.#socket = socket;
    this.#request = request;
    this.#stop = stop;
    this.#settle = settle;
  }

  start(): void {
    this.#stop.action = (reason) => this.#fail(reason);
    const socket = this.#socket;
    const { content } = this.#request;
    const head = encodeRequest(this.#request);
    if (content instanceof Upload) {
      socket.write(head, "latin1");
      return void this.#upload(content);
    }
    this.#isSent = true;
    if (!content?.length) return void socket.write(head, "latin1");
    if (content.length <= SMALL) {
      const first = Buffer.from(head, "latin1");
      return void socket.write(Buffer.concat([first, content]));
    }
    socket.write(head, "latin1");
    socket.write(content);
  }

  async #upload(content: Upload): Promise<void> {
    const socket = this.#socket;
    try {
      for (;;) {
        const octets = await content.next();
        if (this.#isOver) return content.cancel();
        if (!octets) break;
        if (octets.length === 0) continue;
        if (!socket.write(encodeChunk(octets))) await drained(socket);
      }
      socket.write(LAST_CHUNK);
      this.#isSent = true;
    } catch (error) {
      this.#fail(
        new TypeError("fetch failed: the request body", { cause: error }),
      );
    }
  }

  /** Takes what has arrived. */
  take(chunk: Uint8Array): void {
    try {
      if (this.#decoder) this.#takeContent(this.#decoder, chunk);
      else this.#takeHead(chunk);
    } catch (error) {
      this.#fail(broken(error));
    }
  }

  #takeHead(chunk: Uint8Array): void {
    let octets = chunk;
    if (this.#octets) octets = Buffer.concat([this.#octets, chunk]);
    for (;;) {
      const end = findHeadEnd(octets, 0, true);
      if (end === undefined) {
        this.#octets = octets;
        return;
      }
      const head = decodeHead(textOf(octets.subarray(0, end)));
      octets = octets.subarray(end);
      this.#octets = undefined;
      if (head.status >= 200) return this.#begin(head, octets);
      if (head.status === 101) throw new Error("the protocol is switched");
      if (++this.#interim > MAX_INTERIM) {
        throw new Error("too many interim responses");
      }
      if (octets.length === 0) return;
    }
  }

  #begin(head: Head, rest: Uint8Array): void {
    const { method, fields } = this.#request;
    const { status, reason, fields: received } = head;
    this.#length = isEmpty(status, method) ? 0 : lengthOf(head);
    this.#keptFor = keptFor(head, fields);
    const decoder = bodyDecoder(this.#length);
    this.#decoder = decoder;
    const { content, size } = decoder.take(rest);
    const response = { status, reason, fields: received };
    if (decoder.isDone) {
      const isWhole = size === rest.length;
      const isNone = isEmpty(status, method);
      this.#settle.resolve({
        ...response,
        content: isNone ? undefined : content,
      });
      return this.#done(isWhole);
    }
    const socket = this.#socket;
    const download = new Download({
      resume: () => void socket.resume(),
      abandon: () => this.#abandon(),
      wait: (isWaiting) => void (isWaiting ? socket.ref() : socket.unref()),
    });
    this.#download = download;
    this.#settle.resolve({ ...response, content: download });
    if (!download.push(content)) socket.pause();
    if (this.#isSent) socket.unref();
  }

  #takeContent(decoder: BodyDecoder, chunk: Uint8Array): void {
    const { content, size } = decoder.take(chunk);
    const isWhole = size === chunk.length; // the stream may take the memory of the chunk
    const hasRoom = this.#download!.push(content);
    if (decoder.isDone) {
      this.#download!.close();
      return this.#done(isWhole);
    }
    if (!hasRoom) this.#socket.pause();
  }

  #done(isWhole: boolean): void {
    if (!this.#over()) return;
    this.onDone(isWhole && this.#isSent ? this.#keptFor : 0);
  }

  /** The connection has ended. */
  end(error?: Error): void {
    if (this.#isOver) return;
    if (this.#decoder && this.#length === "close" && !error) {
      this.#download!.close();
      this.#over();
      return;
    }
    const hasBegun = this.#decoder || this.#octets || this.#interim > 0;
    if (hasBegun) return this.#fail(broken(error ?? CUT_OFF));
    this.#fail(new Unanswered(false, error === CUT_OFF ? undefined : error));
  }

  /** The program does not want the rest of the content. */
  #abandon(): void {
    if (this.#over()) this.#socket.destroy();
  }

  #fail(error: unknown): void {
    if (!this.#over()) return;
    if (this.#download) this.#download.fail(error);
    else this.#settle.reject(error);
    this.#socket.destroy();
  }

  /** Returns whether it is the first time. */
  #over(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#stop.end();
    const { content } = this.#request;
    if (content instanceof Upload && !this.#isSent) content.cancel();
    return true;
  }
}

const CUT_OFF = new Error(
  "the connection was closed before the end of the response",
);

function broken(cause: unknown): TypeError {
  const { message } = cause as Error;
  return new TypeError(`fetch failed: ${message}`, { cause });
}

function encodeRequest({ method, url, fields, content }: Outgoing): string {
  let head = `${method} ${url.pathname}${url.search} HTTP/1.1\r\n`;
  for (const [name, value] of fields) head += `${name}: ${value}\r\n`;
  head += `host: ${url.host}\r\n`;
  if (content instanceof Upload) head += "transfer-encoding: chunked\r\n";
  else if (content || method === "POST" || method === "PUT") {
    head += `content-length: ${content?.length ?? 0}\r\n`;
  }
  return `${head}\r\n`;
}

/** One character for each octet. */
function textOf({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString("latin1");
}

/** A header section. */
interface Head {
  readonly isHttp11: boolean;
  readonly status: number;
  readonly reason: string;
  readonly fields: readonly Field[];
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: (.*))?$/;

function decodeHead(text: string): Head {
  const end = text.indexOf("\n");
  const line = text.slice(0, text[end - 1] === "\r" ? end - 1 : end);
  const [, minor, digits, reason = ""] = STATUS_LINE.exec(line) ?? [];
  if (digits === undefined) throw new Error("the answer is no HTTP response");
  const fields = parseFieldLines(text.slice(end + 1)).map((
    [name, value],
  ): Field => [name.toLowerCase(), value]);
  return { isHttp11: minor === "1", status: Number(digits), reason, fields };
}

/** The values of a field that is a list, in lower case. */
function listOf(fields: readonly Field[], wanted: string): string[] {
  const list: string[] = [];
  for (const [name, value] of fields) {
    if (name !== wanted) continue;
    list.push(...value.split(",").map((it) => it.trim().toLowerCase()));
  }
  return list;
}

/** RFC 9112 section 6.3; a transfer coding counts more than a length. */
function lengthOf({ fields, isHttp11 }: Head): BodyLength {
  const codings = listOf(fields, "transfer-encoding");
  if (codings.length > 0) {
    if (isHttp11 && codings.join() === "chunked") return "chunked";
    throw new Error("a transfer coding other than chunked");
  }
  const lengths = new Set(listOf(fields, "content-length"));
  if (lengths.size === 0) return "close";
  const [text] = lengths;
  const length = Number(text);
  if (
    lengths.size > 1 || !/^\d+$/.test(text) || !Number.isSafeInteger(length)
  ) {
    throw new Error("Content-Length is not one number");
  }
  return length;
}

/** How long a connection without requests is kept, in milliseconds. */
const KEPT = 90_000;

/** How long the connection may be kept; 0 if it is closed. */
function keptFor(head: Head, sent: readonly Field[]): number {
  const { fields, isHttp11 } = head;
  const options = listOf(fields, "connection");
  const isKept = isHttp11
    ? !options.includes("close")
    : options.includes("keep-alive");
  if (!isKept || listOf(sent, "connection").includes("close")) return 0;
  const hasBoth = ["transfer-encoding", "content-length"].every((it) =>
    fields.some(([name]) => name === it)
  );
  // RFC 9112 section 6.3: "ought to be handled as an error"
  if (hasBoth) return 0;
  for (const it of listOf(fields, "keep-alive")) {
    const [, seconds] = /^timeout=(\d{1,6})$/.exec(it) ?? [];
    // A second before the server closes it.
    if (seconds) return Math.min(KEPT, Number(seconds) * 1_000 - 1_000);
  }
  return KEPT;
}
