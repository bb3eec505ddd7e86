/**
 * The client's half of the protocols, from the first message to the reply, without I/O.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import { type Decode, ProtocolError } from "../protocol/decode.ts";
import {
  decodeMethodChoice,
  encodeGreeting,
  METHOD,
} from "../protocol/socks5.ts";
import { NetError } from "../transport/errors.ts";
import type { AuthStep, AuthSteps, ClientAuth } from "./auth.ts";
import type { ClientReply, HandshakeAttempt } from "./dialect.ts";
import { SocksError } from "./error.ts";
import { join, OctetBuffer } from "./octet_buffer.ts";
import { hasLogin, type ResolvedProxy } from "./proxy.ts";

/**
 * The longest message of an authentication method: one of GSSAPI (RFC 1961 section 3). All
 * other decoders limit their messages themselves.
 */
const MAX_MESSAGE = 4 + 0xffff;

/** One handshake of an attempt, whose phase it updates. */
export class Handshake {
  /** The chosen method, while it waits for its {@linkcode ClientAuth.negotiate}. */
  negotiating: ClientAuth | undefined;
  /** The bound address, once the request is granted. */
  bound: Endpoint | undefined;
  readonly #attempt: HandshakeAttempt;
  readonly #command: number;
  readonly #target: Endpoint;
  readonly #received = new OctetBuffer();
  #toSend: Uint8Array | undefined;
  #method: ClientAuth | undefined;
  #steps: AuthSteps | undefined;
  #decodeReply: Decode<ClientReply> | undefined;

  constructor(attempt: HandshakeAttempt, command: number, target: Endpoint) {
    this.#attempt = attempt;
    this.#command = command;
    this.#target = target;
  }

  /** Returns the first message. */
  start(): Uint8Array {
    const attempt = this.#attempt;
    if (!attempt.dialect.hasMethods) return this.request();
    attempt.phase = "method";
    return encodeGreeting(attempt.auth.map(({ number }) => number));
  }

  /** Takes what the proxy has sent; returns what to send next, if there is anything. */
  feed(octets: Uint8Array): Uint8Array | undefined {
    const received = this.#received;
    received.add(octets);
    while (!this.bound && !this.negotiating && received.octets.length > 0) {
      const size = this.#read(received.octets);
      if (size === undefined) break;
      received.drop(size);
    }
    received.keep();
    const message = this.#toSend;
    this.#toSend = undefined;
    return message;
  }

  /** The octets after the last message. */
  get rest(): Uint8Array {
    return this.#received.octets;
  }

  /** The same, and removes them. */
  takeRest(): Uint8Array {
    const { rest } = this;
    this.#received.drop(rest.length);
    return rest;
  }

  /** Decodes the next message, acts on it, and returns its size. */
  #read(octets: Uint8Array): number | undefined {
    if (this.#decodeReply) return this.#finish(octets, this.#decodeReply);
    return this.#steps
      ? this.#authenticate(octets, this.#steps)
      : this.#choose(octets);
  }

  #choose(octets: Uint8Array): number | undefined {
    const choice = decodeMethodChoice(octets);
    if (!choice) return undefined;
    const { auth, proxy } = this.#attempt;
    const method = auth.find(({ number }) => number === choice.value);
    if (!method) throw noSuchMethod(choice.value, proxy);
    if (method.negotiate || method.steps) this.#attempt.phase = "auth";
    if (method.negotiate) this.negotiating = method;
    else if (method.steps) this.#begin(method);
    else this.#send(this.request());
    return choice.size;
  }

  #begin(method: ClientAuth): void {
    this.#method = method;
    try {
      this.#steps = method.steps!(this.#attempt.proxy);
      this.#advance(this.#steps.start());
    } catch (error) {
      throw loginError(method, error);
    }
  }

  #authenticate(octets: Uint8Array, steps: AuthSteps): number | undefined {
    try {
      const step = steps.feed(octets);
      if (step) this.#advance(step);
      else if (octets.length >= MAX_MESSAGE) throw tooLong();
      if (step && !step.done && !(step.size > 0)) throw tookNothing();
      return step?.size;
    } catch (error) {
      throw loginError(this.#method!, error);
    }
  }

  #advance({ send, done }: AuthStep): void {
    if (send) this.#send(send);
    if (done) this.#send(this.request());
  }

  #send(message: Uint8Array): void {
    this.#toSend = this.#toSend ? join(this.#toSend, message) : message;
  }

  /** Returns the request, after the authentication. */
  request(): Uint8Array {
    const { dialect, proxy, auth } = this.#attempt;
    this.negotiating = undefined;
    this.#attempt.phase = "request";
    this.#decodeReply = dialect.replyDecoder();
    return dialect.encodeRequest(this.#command, this.#target, proxy, auth);
  }

  /** Waits for the second reply to BIND, whose bound address is that of the peer. */
  awaitPeer(): void {
    this.#attempt.phase = "bind";
    this.bound = undefined;
    this.#decodeReply = this.#attempt.dialect.replyDecoder();
  }

  #finish(
    octets: Uint8Array,
    decode: Decode<ClientReply>,
  ): number | undefined {
    const message = decode(octets);
    if (!message) return undefined;
    const { reply, hostname, port } = message.value;
    const { dialect } = this.#attempt;
    if (reply !== dialect.success) {
      throw dialect.rejectedError(reply, this.#attempt);
    }
    this.bound = { hostname, port };
    return message.size;
  }
}

function noSuchMethod(choice: number, proxy: ResolvedProxy): SocksError {
  const phase = "method";
  if (choice !== METHOD.unacceptable) {
    const message = `the proxy chose method ${choice}, which was not offered`;
    return new SocksError("protocol", message, { phase });
  }
  const hint = hasLogin(proxy) ? "" : "; it may require a login";
  const message = `the proxy accepts none of the offered methods${hint}`;
  return new SocksError("no-method", message, { phase });
}

/** It would be called with the same octets again and again. */
function tookNothing(): TypeError {
  return new TypeError("a step has no size, and is not the last one");
}

function tooLong(): ProtocolError {
  const message = `a message has more than ${MAX_MESSAGE} octets`;
  return new ProtocolError("message", message);
}

/**
 * A method may throw or reject with anything; the errors of the connection and of broken
 * messages are returned unchanged.
 */
export function loginError({ name }: ClientAuth, error: unknown): unknown {
  const isOurs = error instanceof NetError || error instanceof ProtocolError ||
    error instanceof SocksError && error.code === "login-failed";
  if (isOurs) return error;
  const reason = error instanceof Error ? error.message : error;
  const message = `the login by method ${name} failed: ${reason}`;
  const details = { phase: "auth", cause: error } as const;
  return new SocksError("login-failed", message, details);
}
