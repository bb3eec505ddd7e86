/**
 * Loads the certificates of the server.
 *
 * @module
 */

import type { TlsServerOptions } from "../../transport/tls_options.ts";
import { escapeText, showPath } from "../output/escape.ts";
import { UsageError } from "../usage_error.ts";
import type { Config } from "./config.ts";
import { fileMode, type ReadFile, tryRead } from "./files.ts";

/** The certificates of the server, and their files. */
export interface LoadedTls {
  readonly options: TlsServerOptions;
  /** The date after which the certificate is invalid. */
  readonly validTo: Date;
  /** The paths of the files. */
  readonly files: readonly string[];
}

/** Results of reading the files: each on one line, `FILE: reason`. */
export interface TlsReport {
  readonly problems: string[];
  readonly warnings: string[];
}

/** The time before the end of a certificate at which there is a warning, in milliseconds. */
const SOON = 7 * 24 * 60 * 60 * 1000;

/**
 * Reads the files of the certificates, and checks them.
 *
 * @returns `undefined` if there are none, or after a problem.
 * @throws {UsageError} if options of TLS are incomplete.
 */
export async function loadTls(
  config: Config,
  read: ReadFile,
  report: TlsReport,
): Promise<LoadedTls | undefined> {
  const paths = pathsOf(config);
  if (!paths) return undefined;
  const { problems } = report;
  const { tlsCert, tlsKey, tlsClientCa } = paths;
  const cert = await tryRead(read, tlsCert, problems);
  const key = await tryRead(read, tlsKey, problems);
  const clientCa = tlsClientCa === undefined
    ? undefined
    : await tryRead(read, tlsClientCa, problems);
  if (problems.length > 0) return undefined;
  const options = { cert: cert!, key: key!, clientCa };
  const validTo = await check(options, paths, report);
  if (!validTo) return undefined;
  await checkMode(tlsKey, report);
  const files = [tlsCert, tlsKey, tlsClientCa].filter((it) => it !== undefined);
  return { options, validTo, files };
}

interface Paths {
  readonly tlsCert: string;
  readonly tlsKey: string;
  readonly tlsClientCa: string | undefined;
}

function pathsOf(
  { tlsCert, tlsKey, tlsClientCa, plainPort, port = 1080 }: Config,
): Paths | undefined {
  if (tlsCert === undefined) {
    const others = { tlsKey, tlsClientCa, plainPort };
    const given = Object.entries(others).find(([, it]) => it !== undefined);
    if (!given) return undefined;
    throw new UsageError(`${FLAGS[given[0]]} needs --tls-cert as well`);
  }
  if (tlsKey === undefined) {
    throw new UsageError("--tls-cert needs --tls-key as well");
  }
  if (plainPort !== undefined && plainPort === port && port > 0) {
    throw new UsageError(`--plain-port must be another port than ${port}`);
  }
  return { tlsCert, tlsKey, tlsClientCa };
}

const FLAGS: Readonly<Record<string, string>> = {
  tlsKey: "--tls-key",
  tlsClientCa: "--tls-client-ca",
  plainPort: "--plain-port",
};

async function check(
  options: TlsServerOptions,
  paths: Paths,
  { problems, warnings }: TlsReport,
): Promise<Date | undefined> {
  // Loaded lazily: it takes 5 to 9 ms.
  const { CertificateError, checkCertificates, validityOf } = await import(
    "../../transport/tls/check_certificates.ts"
  );
  const { tlsCert, tlsKey, tlsClientCa } = paths;
  const fileOf = { cert: tlsCert, key: tlsKey, clientCa: tlsClientCa, ca: "" };
  try {
    checkCertificates(options);
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    const file = fileOf[error.option] ?? "";
    const flaw = error.flaw
      .replaceAll("$CERT", () => shellPath(tlsCert))
      .replaceAll("$KEY", () => shellPath(tlsKey))
      .replaceAll("$FILE", () => shellPath(file));
    problems.push(`${showPath(file)}: ${flaw}`);
    return undefined;
  }
  const { from, to } = validityOf(options.cert);
  const doubt = doubtAbout(from, to);
  if (doubt) warnings.push(`${showPath(tlsCert)}: ${doubt}`);
  return to;
}

function doubtAbout(from: Date, to: Date): string | undefined {
  const now = Date.now();
  if (+to < now) return `expired on ${day(to)}: clients will refuse it`;
  if (+from > now) return `is valid only from ${day(from)} on`;
  return +to < now + SOON ? `expires on ${day(to)}` : undefined;
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}

/** A path in a command line that users copy. */
function shellPath(path: string): string {
  return /^[\w./][\w./-]*$/.test(path) ? path : "FILE";
}

/** The permission of other users to read. A group may share a key, as Debian's ssl-cert does. */
const OTHERS_READ = 0o004;

async function checkMode(path: string, { warnings }: TlsReport): Promise<void> {
  const mode = await fileMode(path);
  if (mode === undefined || (mode & OTHERS_READ) === 0) return;
  warnings.push(
    `${showPath(path)}: every user of this machine can read the key: ` +
      `chmod 600 ${escapeText(shellPath(path))}`,
  );
}
