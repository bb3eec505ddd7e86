/**
 * GSSAPI authentication, with Kerberos (RFC 1961): logins without passwords, and a session
 * that is signed and encrypted, datagrams included.
 *
 * {@linkcode gssapi} is a method of the server, {@linkcode gssapiLogin} one of the client.
 * Both use MIT Kerberos, the library of the system, through the foreign function interface
 * of the runtime; nothing is loaded before they are called.
 *
 * A site by the command line: the first two commands make the key of the proxy where the
 * KDC is, the next ones run on the proxy (Node.js needs the package koffi), the last one on
 * the client.
 *
 * ```console
 * kadmin.local -q "addprinc -randkey rcmd/proxy.example.org"
 * kadmin.local -q "ktadd -k socks.keytab rcmd/proxy.example.org"
 * npm install --global koffi
 * socks5 --hostname 0.0.0.0 --gssapi-keytab socks.keytab --gssapi-levels 2
 * kinit alice
 * ```
 *
 * @example
 * ```ts
 * import { gssapi, gssapiLogin } from "@x/socks5/gssapi";
 * import { socks } from "@x/socks5/client";
 * import { serve } from "@x/socks5/server";
 *
 * // The server, with a key for rcmd/proxy.example.org in its keytab
 * async function start() {
 *   return await serve({ auth: [await gssapi({ keytab: "/etc/socks.keytab" })] });
 * }
 *
 * // The client, after `kinit`
 * const proxy = socks("socks5h://proxy.example.org", { auth: [gssapiLogin()] });
 * console.log(typeof start, `${proxy}`); // function socks5h://proxy.example.org:1080
 * ```
 *
 * @module
 */

export { gssapiLogin, type GssapiLoginOptions } from "./client_method.ts";
export { GssError, type GssErrorCode } from "./error.ts";
export type { Koffi, KoffiFunction, KoffiLibrary } from "./koffi.ts";
export type { ProtectionLevel } from "./level.ts";
export type {
  GssContext,
  GssOrder,
  GssProvider,
  GssStep,
  GssUnwrapped,
} from "./provider.ts";
export { gssapi, type GssapiOptions } from "./server_method.ts";
export type { LibraryOptions } from "./system.ts";

export type {
  ClientAuth,
  ClientAuthExchange,
  ClientAuthResult,
} from "../client/auth.ts";
export type { DatagramWrapper } from "../protocol/datagram.ts";
export type {
  AuthExchange,
  AuthMethod,
  AuthResult,
  LoginFailure,
} from "../server/auth/method.ts";
