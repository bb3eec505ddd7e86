/**
 * The choice of a front end by the first byte of a connection.
 *
 * @module
 */

import type {
  MessageDecoder,
  MessageReader,
} from "../../transport/message_reader.ts";
import type { Frontend } from "./frontend.ts";
import { HTTP } from "./http.ts";
import { Refusal } from "./refusal.ts";
import { SOCKS4 } from "./socks4.ts";
import { SOCKS5 } from "./socks5.ts";

const peekSocks = peekFrontend(SOCKS5, SOCKS4);
const peekAny = peekFrontend(SOCKS5, SOCKS4, HTTP);

/**
 * Waits for the first byte, which stays in the reader. Rejects with a {@linkcode
 * Refusal} when no front end accepts it.
 */
export function detectFrontend(
  reader: MessageReader,
  servesHttp = false,
): Promise<Frontend> {
  return reader.read(servesHttp ? peekAny : peekSocks);
}

function peekFrontend(...frontends: Frontend[]): MessageDecoder<Frontend> {
  return (bytes) => {
    const first = bytes[0];
    for (const frontend of frontends) {
      if (frontend.accepts(first)) return { value: frontend, size: 0 };
    }
    throw refusedStranger(bytes);
  };
}

/** The head of an HTTP request: a method (RFC 9110 section 9) and a space. */
const HTTP_HEAD = /^[A-Z]{3,20} /;
/** The type of a TLS record with a ClientHello, and the major version (RFC 8446 section 5.1). */
const TLS_HANDSHAKE = 22;
const TLS_MAJOR = 3;

/** The refusal of a client that speaks another protocol. */
function refusedStranger(bytes: Uint8Array): Refusal {
  const head = String.fromCharCode(...bytes.subarray(0, 32));
  if (HTTP_HEAD.test(head)) {
    const why = "the client speaks HTTP, not SOCKS";
    return new Refusal("protocol-error", why, badRequest());
  }
  if (bytes[0] === TLS_HANDSHAKE && (bytes[1] ?? TLS_MAJOR) === TLS_MAJOR) {
    return new Refusal("protocol-error", "the client speaks TLS, not SOCKS");
  }
  return new Refusal(
    "protocol-error",
    `the first byte is ${bytes[0]}, which is no version of SOCKS`,
  );
}

/** Browsers and HTTP libraries show the text to their users. */
function badRequest(): Uint8Array {
  const body = "This is a SOCKS proxy. It does not speak HTTP.\n";
  const head = [
    "HTTP/1.1 400 Bad Request",
    "Content-Type: text/plain",
    `Content-Length: ${body.length}`,
    "Connection: close",
  ];
  return new TextEncoder().encode(`${head.join("\r\n")}\r\n\r\n${body}`);
}
