/**
 * One HTTP request and its response, between a client and a target.
 *
 * @module
 */

import { ProtocolError } from "../../protocol/decode.ts";
import {
  type BodyDecoder,
  bodyDecoder,
  type BodyLength,
  encodeChunk,
  LAST_CHUNK,
} from "../../protocol/http_body.ts";
import {
  encodeRequest,
  type ForwardRequest,
} from "../../protocol/http_forward_request.ts";
import {
  decodeResponse,
  encodeResponse,
  forwardedLength,
  type ForwardResponse,
} from "../../protocol/http_forward_response.ts";
import { headDecoder } from "../../protocol/http_head_decoder.ts";
import { NetError, toNetError } from "../../transport/errors.ts";
import { MessageReader } from "../../transport/message_reader.ts";
import { closeQuietly, putBack, resetQuietly } from "../../transport/quiet.ts";
import { forwardSlices, innermost } from "../../transport/relay.ts";
import { type Closable, RelayState } from "../../transport/relay_state.ts";
import type { Conn } from "../../transport/transport.ts";
import type { ClientRequest } from "../frontends/frontend.ts";
import type { CommandSession, Traffic } from "./command.ts";
import type { Ending } from "./ending.ts";
import { HangupWatch } from "./hangup_watch.ts";
import { endingOf, type Failure, refuseExchange } from "./http_failure.ts";

/** A request with its message. */
export type HttpRequest = ClientRequest & { readonly message: ForwardRequest };

/** How many interim responses are passed on for one request. */
const MAX_INTERIM = 32;

/**
 * Passes on a request and its response at the same time: either may end first. Both
 * connections are read only as fast as the other one takes the bytes.
 */
export class HttpExchange implements Traffic {
  keepsClient = false;
  readonly #session: CommandSession;
  readonly #request: HttpRequest;
  readonly #client: Conn;
  readonly #target: Conn;
  /** The content of the request. */
  readonly #body: BodyDecoder;
  /** Counts the bytes and the idle time; the connections are closed here. */
  readonly #state: RelayState;
  #failure: Failure | undefined;
  /** Whether a response was sent, or is being sent. */
  #hasAnswered = false;
  #isOver = false;
  /** The last read from the client. */
  #reading: Promise<unknown> | undefined;
  #watch: HangupWatch | undefined;

  constructor(session: CommandSession, request: HttpRequest, target: Conn) {
    this.#session = session;
    this.#request = request;
    this.#client = request.conn;
    this.#target = target;
    this.#body = bodyDecoder(request.message.length ?? 0);
    this.#state = new RelayState(
      watched(request.conn),
      watched(target),
      session.settings.relay,
    );
    const late = new NetError("timeout", "the target did not answer in time");
    this.#state.owner = {
      relayEnded: ({ reason }) => reason === "idle" && this.#fail("idle", late),
    };
    session.traffic = this;
  }

  get sent(): number {
    return this.#state.sent;
  }

  get received(): number {
    return this.#state.received;
  }

  /** Resolves when the response is complete, or cannot be completed. */
  async run(): Promise<Ending> {
    const { stopping } = this.#session;
    const stop = () => resetQuietly(this.#target);
    stopping.addEventListener("abort", stop);
    void this.#send();
    try {
      await this.#receive();
    } catch (error) {
      this.#fail("target", error);
    }
    this.#isOver = true;
    stopping.removeEventListener("abort", stop);
    this.#state.abort(); // ends its timeouts
    closeQuietly(this.#target); // and with it what is still being sent
    await this.#reading?.catch(() => {});
    await this.#watch?.end();
    return await this.#end();
  }

  async #end(): Promise<Ending> {
    const session = this.#session;
    if (session.ending) return session.ending;
    if (this.#failure) {
      return this.#hasAnswered
        ? endingOf(this.#failure)
        : await refuseExchange(session, this.#request, this.#failure);
    }
    // A shutdown may have begun after the response announced that others can follow.
    this.keepsClient &&= session.servesMore;
    if (!this.keepsClient) await session.linger(this.#client);
    return { reason: "finished" };
  }

  /** Stops the exchange. Only the first failure counts: others follow from it. */
  #fail(side: Failure["side"], error: unknown): void {
    if (this.#isOver || this.#failure) return;
    const cause = error instanceof ProtocolError ? error : toNetError(error);
    this.#failure = { side, error: cause };
    resetQuietly(this.#target);
    // A FIN would make a response that is cut off look complete.
    if (this.#hasAnswered) resetQuietly(this.#client);
  }

  /** Awaits a step whose failure is that of one side. */
  async #of<T>(side: Failure["side"], step: Promise<T>): Promise<T> {
    try {
      return await step;
    } catch (error) {
      this.#fail(side, error);
      throw error;
    }
  }

  /** Sends the request to the target. Never rejects. */
  async #send(): Promise<void> {
    const { message } = this.#request;
    try {
      await this.#toTarget(encodeRequest(message));
      while (!this.#body.isDone) {
        const content = await this.#of("client", this.#readContent());
        if (this.#isOver) return;
        await this.#toTarget(framed(content, message.length!));
      }
      if (message.length === "chunked") await this.#toTarget(LAST_CHUNK);
    } catch {
      return; // A target that reads no more may have responded.
    }
    if (this.#isOver) return;
    this.#watch = new HangupWatch(this.#client, (error) => {
      // A client that has sent FIN may still read.
      if (error) this.#fail("client", error);
    });
  }

  /** Reads content of the request; other bytes stay unread. */
  async #readContent(): Promise<Uint8Array> {
    // Nothing is read while this waits, so that the connection can be used elsewhere.
    await this.#client.peek();
    if (this.#isOver) return NONE;
    const reading = this.#client.read();
    this.#reading = reading;
    const chunk = await reading;
    if (chunk === null) throw new NetError("ended", "the request is cut off");
    const { content, size } = this.#body.take(chunk);
    if (size < chunk.length) putBack(this.#client, chunk.subarray(size));
    return content;
  }

  /** Passes on the response. */
  async #receive(): Promise<void> {
    const { method, isHttp11 } = this.#request.message;
    const reader = new MessageReader(this.#target);
    for (let interim = 0; interim <= MAX_INTERIM; interim++) {
      const head = await reader.read(
        headDecoder((octets) => decodeResponse(octets, method)),
      );
      if (head.status >= 200) {
        reader.release();
        return await this.#answer(head);
      }
      if (!isHttp11) continue;
      this.#hasAnswered = true; // a client that does not read it cannot be refused
      await this.#toClient(encodeResponse(head, { isHttp11 }));
      this.#hasAnswered = false;
    }
    throw new ProtocolError("header", "too many interim responses");
  }

  async #answer(head: ForwardResponse): Promise<void> {
    const { isHttp11, keepsAlive } = this.#request.message;
    const { servesMore, settings: { timeouts } } = this.#session;
    const length = forwardedLength(head, isHttp11);
    // The rest of a request that the target did not wait for cannot be skipped.
    const keeps = keepsAlive && servesMore && this.#body.isDone;
    const keptFor = keeps ? Math.floor(timeouts.handshake / 1_000) : undefined;
    this.#hasAnswered = true;
    this.#session.replied(head.status);
    await this.#toClient(encodeResponse(head, { isHttp11, keptFor }));
    const body = bodyDecoder(head.length);
    while (!body.isDone) {
      const chunk = await this.#target.read();
      if (chunk === null && head.length === "close") break;
      if (chunk === null) {
        throw new NetError("ended", "the response is cut off");
      }
      await this.#toClient(framed(body.take(chunk).content, length));
    }
    if (length === "chunked") await this.#toClient(LAST_CHUNK);
    this.keepsClient = keeps;
  }

  #toClient(octets: Uint8Array): Promise<void> {
    return this.#of("client", this.#write(this.#client, "b", octets));
  }

  #toTarget(octets: Uint8Array): Promise<void> {
    return this.#write(this.#target, "a", octets);
  }

  /** Writes, counts, and limits the rate. */
  async #write(to: Conn, from: "a" | "b", octets: Uint8Array): Promise<void> {
    const { rateLimiter } = this.#session;
    if (rateLimiter) {
      return await forwardSlices(octets, to, from, this.#state, rateLimiter);
    }
    this.#state.count(from, octets.length);
    await to.write(octets);
  }
}

const NONE = new Uint8Array(0);

/** Content as it is sent. */
function framed(content: Uint8Array, length: BodyLength): Uint8Array {
  const isChunk = length === "chunked" && content.length > 0;
  return isChunk ? encodeChunk(content) : content;
}

/** A side whose idle time is watched, and that stays open. */
function watched(side: Conn): Closable {
  const conn: Conn & Pick<Closable, "unsent"> = innermost(side);
  return {
    close() {},
    reset() {},
    keepAlive: () => conn.keepAlive?.(),
    get unsent(): number | undefined {
      return conn.unsent;
    },
  };
}
