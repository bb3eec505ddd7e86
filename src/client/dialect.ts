/**
 * The common shape of the protocols that the client speaks.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import type { Decode } from "../protocol/decode.ts";
import type { ClientAuth } from "./auth.ts";
import type { SocksError, SocksPhase } from "./error.ts";
import type { ProxyConfig, ProxyProtocol, ResolvedProxy } from "./proxy.ts";

/** The reply to a request; the endpoint is the bound address. */
export interface ClientReply extends Endpoint {
  readonly reply: number;
}

/** One protocol as the client speaks it. */
export interface ClientDialect {
  /** The scheme of its URLs. */
  readonly protocol: ProxyProtocol;
  /** Whether requests carry names, so that the proxy resolves them. */
  readonly resolvesNames: boolean;
  /** Whether it has the command BIND. */
  readonly hasBind: boolean;
  /** Whether it has the command UDP ASSOCIATE. */
  readonly hasDatagrams: boolean;
  /** Whether it has the command RESOLVE. */
  readonly hasResolve: boolean;
  /** Whether it has the command RESOLVE_PTR. */
  readonly hasReverse: boolean;
  /** Whether it agrees on an authentication method before the request. */
  readonly hasMethods: boolean;
  /** Whether its request carries the login of {@linkcode passwordLogin}. @default {false} */
  readonly carriesPassword?: boolean;
  /** Throws a TypeError if no message can carry the proxy's login. */
  checkLogin(proxy: ProxyConfig): void;
  /** Whether a request can carry this IP address. */
  canCarry(address: string): boolean;
  /** Describes the address that no request can carry, and suggests a protocol that can. */
  cannotCarry(hostname: string, address: string): string;
  /** The octets of a request. */
  encodeRequest(
    command: number,
    target: Endpoint,
    proxy: ProxyConfig,
    auth: readonly ClientAuth[],
  ): Uint8Array;
  /** A decoder for one reply. */
  replyDecoder(): Decode<ClientReply>;
  /** The reply number that grants a request. */
  readonly success: number;
  /** The error for any other reply. */
  rejectedError(reply: number, attempt: HandshakeAttempt): SocksError;
}

/** An attempt as its handshake sees it. */
export interface HandshakeAttempt {
  readonly proxy: ResolvedProxy;
  readonly dialect: ClientDialect;
  /** The authentication methods to offer. */
  readonly auth: readonly ClientAuth[];
  /** Updated as the handshake proceeds. */
  phase: SocksPhase;
}
