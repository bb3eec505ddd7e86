/**
 * What a user can do about an error, for those who meet Kerberos and TLS for the first
 * time.
 *
 * @module
 */

import { SocksError } from "../client/error.ts";
import { NetError } from "../transport/errors.ts";
import { GssError, type GssErrorCode } from "../gssapi/error.ts";

const FETCH_CERTIFICATE =
  "openssl s_client -connect HOST:PORT </dev/null | openssl x509 -noout";

/** For a proxy that wants a login. */
export const LOGIN_ADVICE: readonly string[] = [
  "the proxy wants a login, or another one: socks5h://NAME:PASSWORD@HOST:PORT in a " +
  "--proxy-file, or --gssapi for Kerberos",
];

/** By code; the first line says what is wrong, in other words than the error. */
const ADVICE: Readonly<Record<string, readonly string[]>> = {
  "tls-untrusted": [
    "if an authority of its own has issued the proxy's certificate, write --tls-ca FILE",
    "if you know the fingerprint from the operator, write --tls-pin SHA256; it is shown by: " +
    `${FETCH_CERTIFICATE} -fingerprint -sha256`,
  ],
  "tls-name": [
    "write the proxy's name in the URL as its certificate has it, or --tls-name NAME; the " +
    `names are shown by: ${FETCH_CERTIFICATE} -ext subjectAltName`,
  ],
  "tls-pin": [
    "the certificate is another one than at the time of the fingerprint: ask the operator " +
    "whether it was renewed, because someone may be in between",
  ],
  "tls-refused": [
    "the proxy wants a certificate of the client: write --tls-cert FILE --tls-key FILE, " +
    "issued by the authority that the proxy knows",
  ],
  "tls-failed": [
    "does the port speak TLS at all? Without it, the URL begins with socks5h://, not with " +
    "socks5s://",
  ],
  "no-method": LOGIN_ADVICE,
  protocol: [
    "the port speaks another protocol: `socks5 check URL` finds out which",
  ],
  dns: ["with socks5h:// the proxy resolves the names"],
};

const EXPIRED: readonly string[] = [
  "the certificate's dates do not fit the clock of this machine: compare `date`, and ask " +
  "the operator for a new certificate if that is right; the dates are shown by: " +
  `${FETCH_CERTIFICATE} -dates`,
];

const NOT_LISTENING: readonly string[] = [
  "nothing listens there: is the proxy running, and are host and port right?",
];

/** Lines of advice on an error; none if the error says it all. */
export function adviceOn(error: unknown): readonly string[] {
  if (!(error instanceof SocksError)) return [];
  const { address } = error.hop ?? {};
  const lines = linesOn(error);
  if (address === undefined) return lines;
  return lines.map((it) =>
    it.replaceAll("-connect HOST:PORT", `-connect ${address}`)
  );
}

function linesOn(error: SocksError): readonly string[] {
  const { code, cause } = error;
  if (cause instanceof GssError) return adviceOnKerberos(cause);
  if (
    code === "tls-untrusted" && /expired|not yet valid/i.test(error.message)
  ) {
    return EXPIRED;
  }
  const isRefused = cause instanceof NetError && cause.kind === "refused";
  if (code === "proxy-unreachable" && isRefused) return NOT_LISTENING;
  if (code === "login-failed") return adviceOnLogin(error);
  return ADVICE[code] ?? [];
}

function adviceOnLogin({ message }: SocksError): readonly string[] {
  if (/refused the ticket/.test(message)) {
    return [
      "the proxy may have an old keytab: compare the key versions of `klist -k` there and " +
      "of `kvno rcmd/HOST` here",
    ];
  }
  if (/requires a login/.test(message)) return LOGIN_ADVICE;
  return [
    "check name and password; in a URL, write other characters than letters and digits " +
    "as %XX, such as %40 for @",
  ];
}

const KERBEROS: Partial<Record<GssErrorCode, string>> = {
  "no-ticket":
    "run `kinit NAME@REALM`; `klist` then shows krbtgt/REALM@REALM, not expired",
  "unknown-service":
    "the KDC has no principal PRINCIPAL: write the proxy's name in the URL as " +
    "`klist -k` shows it at the proxy, and --gssapi-service if the part before the slash " +
    "is another one; an IP address seldom has a principal",
  kdc:
    "no KDC of the realm answers: `kinit` fails in the same way; see [realms] and " +
    "[domain_realm] in /etc/krb5.conf",
  clock:
    "Kerberos allows five minutes between the clocks: compare `date` on both machines",
  keytab: "at the proxy, `klist -k FILE` shows the keys of its keytab",
  replay: "the proxy has seen this ticket's token before: try again",
};

/** The service in a text of the library, such as `(rcmd@proxy.example)`. */
const SERVICE = /\(([^@()\s]+)@([^@()\s]+)\)/;

function adviceOnKerberos({ code, message }: GssError): readonly string[] {
  const text = KERBEROS[code];
  if (text === undefined) return [];
  const [, service = "rcmd", host = "HOST"] = SERVICE.exec(message) ?? [];
  return [text.replace("PRINCIPAL", `${service}/${host}`)];
}
