/**
 * The flags of the client's commands.
 *
 * @module
 */

/** A flag of a command. */
export interface Flag {
  /** Without dashes. */
  readonly name: string;
  /** The placeholder of its value, such as `FILE`; a flag without one is a switch. */
  readonly value?: string;
  /** The text of `--help`. */
  readonly text: string;
  /** Whether it may be repeated, and all its values count. */
  readonly isRepeatable?: true;
}

const HELP: Flag = { name: "help", text: "Print this help, and exit" };

/** The flags of all commands that use a proxy. */
export const PROXY_FLAGS: readonly Flag[] = [
  {
    name: "proxy-file",
    value: "FILE",
    text:
      "Take the proxies from this file, in place of URL: one URL a line, a chain in " +
      "order. Then no login is on the command line, which other users of the machine " +
      "can read. The file must be readable by its owner only (chmod 600)",
  },
  {
    name: "timeout",
    value: "DURATION",
    text: "How long to wait for the proxies to connect, such as 10s",
  },
  {
    name: "tls-ca",
    value: "FILE",
    text: "The authorities that may issue the proxy's certificate (PEM), in " +
      "place of those of the runtime",
  },
  {
    name: "tls-name",
    value: "NAME",
    text:
      "The name that the certificate must have, if it is not that of the URL",
  },
  {
    name: "tls-pin",
    value: "SHA256",
    text: "Accept only the certificate with this fingerprint",
  },
  {
    name: "tls-cert",
    value: "FILE",
    text: "The client's own certificate (PEM), with --tls-key",
  },
  { name: "tls-key", value: "FILE", text: "The private key of --tls-cert" },
  {
    name: "gssapi",
    text: "Log in by Kerberos, with the ticket of kinit, and by nothing else",
  },
  {
    name: "gssapi-service",
    value: "NAME",
    text: "The service in the proxy's principal, NAME/HOST (default rcmd)",
  },
  HELP,
];
