/**
 * Options of the listener, TLS included.
 *
 * @module
 */

import { toggle, whole } from "../kinds.ts";
import {
  addressBlocks,
  filePath,
  listenAddress,
  permissions,
} from "../server_kinds.ts";
import { option, type OptionTable } from "../option.ts";

/** The options, by their keys in a configuration file. */
export const LISTENING = {
  hostname: option(listenAddress(), {
    flag: "--hostname ADDRESS",
    brief: "IP address to listen on",
    section: "listen",
    default: "127.0.0.1",
    needsRestart: true,
    description:
      "IP address to listen on; 0.0.0.0 or :: for all interfaces. Or unix:PATH " +
      "for a Unix socket, or fd:3 for the socket that a service manager passes",
  }),
  socketMode: option(permissions(), {
    flag: "--socket-mode MODE",
    section: "listen",
    default: "600",
    needsRestart: true,
    description: "Permissions of the Unix socket, such as 660",
  }),
  port: option(whole(65535), {
    flag: "--port PORT",
    brief: "Port to listen on",
    section: "listen",
    default: 1080,
    needsRestart: true,
    description: "Port to listen on; 0 for any free port",
  }),
  http: option(toggle(), {
    flag: "--http",
    section: "listen",
    default: false,
    description:
      "Serve HTTP on the same port as SOCKS, with the same logins and rules: CONNECT, " +
      "and requests for http:// URLs",
  }),
  proxyFrom: option(addressBlocks(), {
    flag: "--proxy-from ADDRESS[/PREFIX]",
    section: "listen",
    description:
      "Addresses of load balancers, such as 10.0.0.0/8. Their connections must begin " +
      "with a header of the PROXY protocol, which names the client; the server then " +
      "needs logins, wherever it listens.",
    help:
      "Address of load balancers, such as 10.0.0.0/8; may be repeated. Their " +
      "connections must begin with a header of the PROXY protocol, which names the " +
      "client; the server then needs logins, wherever it listens.",
  }),
  tlsCert: option(filePath(), {
    flag: "--tls-cert FILE",
    section: "tls",
    usedBy: "load",
    description:
      "Certificate in PEM, with those of intermediate authorities after it: makes the " +
      "port speak TLS. Files of TLS are loaded again when they change. Datagrams are not " +
      "encrypted.",
  }),
  tlsKey: option(filePath(), {
    flag: "--tls-key FILE",
    section: "tls",
    usedBy: "load",
    description: "Private key of the certificate in PEM, not encrypted",
  }),
  tlsClientCa: option(filePath(), {
    flag: "--tls-client-ca FILE",
    section: "tls",
    usedBy: "load",
    description:
      "Certificates of authorities in PEM: each client needs a certificate of one of " +
      "them. It counts as a login, and its common name as the user.",
  }),
  plainPort: option(whole(65535), {
    flag: "--plain-port PORT",
    section: "tls",
    needsRestart: true,
    description: "Second port, without TLS, on the same address",
  }),
} satisfies OptionTable;
