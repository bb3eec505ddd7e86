/**
 * The entries of the log.
 *
 * @module
 */

import { formatEndpoint } from "../../protocol/address.ts";
import { localPlace } from "../../transport/local_place.ts";
import { Denial } from "../../server/policy/policy.ts";
import type { ServerEvent } from "../../server/events.ts";
import type { Address } from "../../transport/transport.ts";

/** An entry of the log: an event of the server, or of the program itself. */
export type LogRecord =
  | Exclude<ServerEvent, { type: "listening" | "drain" | "shutdown" }>
  | {
    readonly type: "listening";
    readonly addr: Address;
    /** The number of logins; if it is 0, without the next two, clients need none. */
    readonly logins: number;
    /** Whether Kerberos logins are accepted. */
    readonly gssapi?: true;
    /** Whether a program verifies passwords. */
    readonly authCommand?: true;
    /** The environment variable with logins, if the program may not read it (on Deno). */
    readonly unreadVariable?: string;
    /** Facts about TLS, if the port speaks it. */
    readonly tls?: {
      /** The date after which the certificate is invalid. */
      readonly validTo: Date;
      /** Whether clients need certificates. */
      readonly asksClients: boolean;
    };
    /** The port that does not speak TLS, beside one that does. */
    readonly plainAddr?: Address;
    /** The number of workers, if there are several. */
    readonly workers?: number;
    /** The process ids of the workers. */
    readonly pids?: readonly number[];
    /** The URL of the metrics, if they are served. */
    readonly metrics?: string;
    /** The URL of the console without a token, or `unix:PATH`, if there is one. */
    readonly admin?: string;
  }
  | {
    readonly type: "worker-ended";
    readonly worker: number;
    readonly code?: number;
    readonly signal?: string;
    readonly error?: string;
    /** The delay until it is restarted, in milliseconds. */
    readonly delay: number;
  }
  | {
    readonly type: "worker-started";
    /** A number that no other worker of the program has had. */
    readonly worker: number;
    /** The worker in whose place it was started. */
    readonly replaces?: number;
    /** Its process id; a thread has none. */
    readonly pid?: number;
  }
  | {
    readonly type: "drain";
    readonly signal: string;
    /** How long clients are still accepted, in milliseconds. */
    readonly delay: number;
  }
  | {
    readonly type: "shutdown";
    readonly signal: string;
    /** The number of open sessions. */
    readonly sessions: number;
    /** How long they may take to end, in milliseconds. */
    readonly grace: number;
  }
  | {
    readonly type: "terminated";
    /** The second signal. */
    readonly signal: string;
    /** The number of sessions that were open. */
    readonly sessions: number;
  }
  | {
    readonly type: "reloaded";
    /** The new numbers of logins and rules. */
    readonly logins: number;
    readonly rules: number;
    /** The date after which the certificate is invalid, if there is one. */
    readonly validTo?: Date;
    /** The options that have changed, but take effect only after a restart. */
    readonly ignored: readonly string[];
    /** Parts of the configuration that may be mistakes, if there are any. */
    readonly warnings?: readonly string[];
  }
  | {
    readonly type: "reload-failed";
    /** The problems of the new configuration, which is not used. */
    readonly problems: readonly string[];
  }
  | {
    readonly type: "usage";
    readonly user: string;
    /** The bytes from the user since the last record, and those to the user. */
    readonly sent: number;
    readonly received: number;
    /** The sessions that have started since then. */
    readonly sessions: number;
  }
  | {
    readonly type: "accounting-failed";
    /** Why the accounting file could not be written; it is tried again. */
    readonly error: string;
  }
  | {
    /** Redis does not answer, so that the limits of several machines do not hold. */
    readonly type: "shared-lost";
    readonly error: string;
    /** Whether logins are refused until it does. */
    readonly isStrict: boolean;
  }
  | { readonly type: "shared-found" }
  | {
    readonly type: "admin";
    /** `login-failed` is a wrong token. */
    readonly act: "end" | "unlock" | "reload" | "drain" | "login-failed";
    /** The sessions or the client that it was about; empty for all of them. */
    readonly filter?: Readonly<Record<string, string>>;
    /** How many sessions were ended, or clients unlocked. */
    readonly count?: number;
    /** The client of the Admin API; its Unix socket does not know it. */
    readonly origin: Address | "unix";
  }
  | {
    readonly type: "lines-dropped";
    /** The number of lines that are missing, because the reader of the log was too slow. */
    readonly lines: number;
  };

/** The end of a session. */
export type SessionEnd = Extract<LogRecord, { type: "session-end" }>;

/** The text of the record `own-addresses-unknown`. */
export const OWN_ADDRESSES_UNKNOWN =
  "the addresses of this machine cannot be listed: clients can reach all of them " +
  "except the one that they used (on Deno, allow --allow-sys=networkInterfaces)";

/** Whether the policy denied the request. */
export function isDenied({ reason, error }: SessionEnd): boolean {
  return reason === "refused" && error instanceof Denial;
}

/** How long a certificate is valid. */
export function validText(validTo: Date): string {
  return `certificate valid until ${validTo.toISOString().slice(0, 10)}`;
}

/** An address as text: `HOSTNAME:PORT`, or what a listener has in place of a port. */
export function addressText(addr: Address): string {
  return localPlace(addr.hostname) ? addr.hostname : formatEndpoint(addr);
}

/** The URL for clients on this machine; `undefined` if the listener is no TCP port. */
export function proxyUrl(
  { hostname, port }: Address,
  tls?: unknown,
): string | undefined {
  if (localPlace(hostname)) return undefined;
  const loopback = { "0.0.0.0": "127.0.0.1", "::": "::1" }[hostname] ??
    hostname;
  const scheme = tls ? "socks5+tls" : "socks5";
  return `${scheme}://${formatEndpoint({ hostname: loopback, port })}`;
}
