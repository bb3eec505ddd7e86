/**
 * The status codes of GSS-API and of MIT Kerberos as errors that say what to do.
 *
 * @module
 */

import { GssError, type GssErrorCode } from "../error.ts";

/** A failed call. */
export interface Status {
  /** The major status (RFC 2744 section 3.9). */
  readonly major: number;
  /** The code of Kerberos. */
  readonly minor: number;
  /** The text of the library. */
  readonly text: string;
  /** What the call was about. */
  readonly subject?: string;
  /** The code of a failure that the status does not explain. @default {"other"} */
  readonly fallback?: GssErrorCode;
}

/** The routine errors of a major status, in its third octet. */
const NO_CRED = 7;
const DEFECTIVE_TOKEN = 9;
const BAD_MIC = 6;
const BAD_MECH = 1;
const NO_CONTEXT = 8;
const CREDENTIALS_EXPIRED = 11;
const DUPLICATE_TOKEN = 0x2;

/** The codes of MIT Kerberos count from here. */
const KRB5 = -1765328384;
const MINORS: Readonly<Record<number, GssErrorCode>> = {
  7: "unknown-service", // KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN
  31: "token", // KRB5KRB_AP_ERR_BAD_INTEGRITY
  32: "no-ticket", // KRB5KRB_AP_ERR_TKT_EXPIRED
  34: "replay", // KRB5KRB_AP_ERR_REPEAT
  35: "keytab", // KRB5KRB_AP_ERR_NOT_US
  37: "clock", // KRB5KRB_AP_ERR_SKEW
  44: "keytab", // KRB5KRB_AP_ERR_BADKEYVER
  45: "keytab", // KRB5KRB_AP_ERR_NOKEY
  141: "no-ticket", // KRB5_CC_NOTFOUND
  154: "kdc", // KRB5_REALM_UNKNOWN
  156: "kdc", // KRB5_KDC_UNREACH
  181: "keytab", // KRB5_KT_NOTFOUND
  195: "no-ticket", // KRB5_FCC_NOFILE
  230: "keytab", // KRB5_KT_KVNONOTFOUND
};

const ADVICE: Partial<Record<GssErrorCode, string>> = {
  keytab: "list its keys with `klist -k`, add one with `ktutil` or `ktadd`",
  "no-ticket": "get one with `kinit`, see it with `klist`",
  "unknown-service":
    "add the principal to the KDC, or name the proxy as its keytab does",
  kdc: "check the realm and its `kdc` in krb5.conf, and the network",
  clock: "synchronize the clocks of both machines",
};

/** Returns the error for a failed call. */
export function describeStatus(status: Status): GssError {
  const { subject } = status;
  const code = codeOf(status);
  const text = isEmpty(status.text) ? EMPTY[code] ?? EMPTY.other : status.text;
  const where = subject === undefined ? "" : ` (${subject})`;
  const advice = ADVICE[code];
  return new GssError(code, `${text}${where}${advice ? `: ${advice}` : ""}`);
}

/** The library has no text for some errors of malformed tokens. */
const EMPTY: Partial<Record<GssErrorCode, string>> & { other: string } = {
  token: "the token is malformed",
  other: "the GSS-API call failed",
};

function isEmpty(text: string): boolean {
  return text === "" || text === "Success" || text === "Unknown error";
}

function codeOf({ major, minor, fallback }: Status): GssErrorCode {
  if (major & DUPLICATE_TOKEN) return "replay";
  const known = MINORS[minor - KRB5];
  if (known !== undefined) return known;
  switch (major >>> 16 & 0xff) {
    case NO_CRED:
      return "keytab";
    case CREDENTIALS_EXPIRED:
      return "no-ticket";
    case BAD_MECH:
    case BAD_MIC:
    case DEFECTIVE_TOKEN:
      return "token";
    case NO_CONTEXT:
      return "closed";
    default:
      return fallback ?? "other";
  }
}
