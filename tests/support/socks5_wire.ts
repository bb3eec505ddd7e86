/**
 * The octets of a CONNECT through a scripted SOCKS5 proxy.
 *
 * @module
 */

/** The target, at which nothing is. */
export const TARGET = { hostname: "192.0.2.1", port: 80 };

/** The greeting of a client without a login, and the answer. */
export const CHOSEN = ["05 01 00", "05 00"] as const;

/** The request for {@linkcode TARGET}. */
export const ASKED = "05 01 00 01 C0 00 02 01 00 50";

/** The reply of success, with the bound address 10.0.0.1:4660. */
export const OK = "05 00 00 01 0A 00 00 01 12 34";
