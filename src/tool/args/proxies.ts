/**
 * The proxies that the arguments name, and how to log in to them.
 *
 * @module
 */

import { readFile, type ReadOptions } from "../../cli/config/files.ts";
import { showPath } from "../../cli/output/escape.ts";
import { UsageError } from "../../cli/usage_error.ts";
import type { ClientAuth } from "../../client/auth.ts";
import type { TlsOptions } from "../../client/options.ts";
import { isOverTls, type ResolvedProxy } from "../../client/proxy.ts";
import { resolveProxy } from "../../client/resolve_proxy.ts";
import type { Arguments } from "./parse.ts";

/** The proxies of a command, and the options for them. */
export interface Proxies {
  /** A chain in order; at least one. */
  readonly hops: readonly ResolvedProxy[];
  readonly timeout: number;
  readonly tls: TlsOptions | undefined;
  /** `undefined` stands for the default: the login of the URL. */
  readonly auth: readonly ClientAuth[] | undefined;
  /** The service in the proxy's Kerberos principal, if that login was asked for. */
  readonly gssapiService: string | undefined;
}

/** The default of `--timeout`, in milliseconds. */
const TIMEOUT = 30_000;

/**
 * Reads the proxies from the URLs or the file, and the files of TLS.
 *
 * @throws {UsageError} with a message that contains no login.
 */
export async function readProxies(
  args: Arguments,
  timeout: number = TIMEOUT,
): Promise<Proxies> {
  const hops = await readHops(args);
  const tls = await readTls(args);
  if (tls && !hops.some(isOverTls)) {
    throw new UsageError(
      "the flags of TLS are for proxies such as socks5s://HOST:PORT",
    );
  }
  const gssapiService = readService(args);
  return {
    hops,
    timeout: args.duration("timeout", timeout),
    tls,
    auth: await readAuth(gssapiService),
    gssapiService,
  };
}

async function readHops(args: Arguments): Promise<ResolvedProxy[]> {
  const file = args.value("proxy-file");
  if (file === undefined) {
    if (args.urls.length > 0) return toHops(args.urls, "");
    throw new UsageError(
      "a proxy is missing: write its URL, such as socks5h://HOST:PORT, or " +
        "--proxy-file FILE",
    );
  }
  if (args.urls.length > 0) {
    throw new UsageError("give either the proxies' URLs or --proxy-file");
  }
  const text = await read("--proxy-file", file, { isPrivate: true });
  const lines = text.split(/\r?\n/).map((it) => it.trim())
    .filter((it) => it !== "" && !it.startsWith("#"));
  const where = `--proxy-file ${showPath(file)}: `;
  if (lines.length > 0) return toHops(lines, where);
  throw new UsageError(`${where}has no URL`);
}

function toHops(urls: readonly string[], where: string): ResolvedProxy[] {
  return urls.map((url, i) => {
    try {
      return resolveProxy(url);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      const which = urls.length > 1 ? `proxy ${i + 1}: ` : "";
      throw new UsageError(`${where}${which}${error.message}`);
    }
  });
}

async function readTls(args: Arguments): Promise<TlsOptions | undefined> {
  const [ca, cert, key] = await Promise.all(
    ["tls-ca", "tls-cert", "tls-key"].map((name) => {
      const path = args.value(name);
      return path === undefined ? undefined : read(`--${name}`, path);
    }),
  );
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError("--tls-cert and --tls-key must be given together");
  }
  if ([ca, cert].some((it) => it !== undefined)) {
    await checkFiles(args, { ca, cert, key });
  }
  const tls = {
    ca,
    cert,
    key,
    serverName: args.value("tls-name"),
    fingerprint256: args.value("tls-pin"),
  };
  const given = Object.entries(tls).filter(([, it]) => it !== undefined);
  return given.length > 0 ? Object.fromEntries(given) : undefined;
}

/** Names the file with a flaw, which would show only at the proxy otherwise. */
async function checkFiles(
  args: Arguments,
  texts: Pick<TlsOptions, "ca" | "cert" | "key">,
): Promise<void> {
  // Loaded lazily: few proxies speak TLS.
  const { CertificateError, checkCertificates } = await import(
    "../../transport/tls/check_certificates.ts"
  );
  try {
    checkCertificates(texts);
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    const fileOf = (name: string) => showPath(args.value(`tls-${name}`) ?? "");
    const flaw = error.flaw.replaceAll("$FILE", fileOf(error.option))
      .replaceAll("$CERT", fileOf("cert")).replaceAll("$KEY", fileOf("key"));
    throw new UsageError(
      `--tls-${error.option} ${fileOf(error.option)} ${flaw}`,
    );
  }
}

async function read(
  flag: string,
  path: string,
  options?: ReadOptions,
): Promise<string> {
  try {
    return await readFile(path, options);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`${flag} ${showPath(path)}: ${error.message}`);
  }
}

function readService(args: Arguments): string | undefined {
  const service = args.value("gssapi-service");
  if (args.has("gssapi")) return service ?? "rcmd";
  if (service === undefined) return undefined;
  throw new UsageError("--gssapi-service needs --gssapi as well");
}

async function readAuth(
  service: string | undefined,
): Promise<readonly ClientAuth[] | undefined> {
  if (service === undefined) return undefined;
  // Loaded lazily: few proxies speak it.
  const { gssapiLogin } = await import("../../gssapi/mod.ts");
  try {
    return [gssapiLogin({ service })];
  } catch (error) {
    throw new UsageError(`--gssapi-service: ${(error as Error).message}`);
  }
}
