/**
 * The verdict on the results of a check.
 *
 * @module
 */

import { SocksError } from "../../client/error.ts";
import { hopAddress } from "../../client/hops.ts";
import type { ResolvedProxy } from "../../client/proxy.ts";
import { METHOD } from "../../protocol/socks5.ts";
import { adviceOn, LOGIN_ADVICE } from "../advice.ts";
import { type Examination, isLoginRefused } from "./examination.ts";
import { speaksPlainSocks, speaksTls } from "./other_port.ts";
import type { CheckName, CheckReport } from "./report.ts";
import type { Way } from "./way.ts";

/** Returns the report. Asks the proxy again if it speaks nothing that was expected. */
export async function judge(
  examination: Examination,
  proxies: readonly ResolvedProxy[],
): Promise<CheckReport> {
  const { results, places: { isExposed } } = examination;
  const isConnected = CONNECTS.some((it) => results.is(it));
  const isOpen = isExposed && results.anonymous.length > 0;
  const advice = await adviceFor(examination, isConnected);
  return {
    proxies: proxies.map((it) => `${it.protocol}://${hopAddress(it)}`),
    isExposed,
    isOpen,
    ok: isConnected && !isLoginRefused(examination),
    results: results.all(),
    warnings: warningsOf(examination, isOpen),
    advice: [...new Set(advice)],
  };
}

const CONNECTS = ["connect-ipv4", "connect-ipv6", "connect-name"] as const;

function warningsOf(
  { way, results, places: { isExposed } }: Examination,
  isOpen: boolean,
): string[] {
  const { anonymous } = results;
  const is = (name: CheckName) => results.is(name);
  const warnings: string[] = [];
  const by = anonymous.map((it) => NAMES[it])
    .filter((it) => it !== undefined);
  const around = [...new Set(by)].join(" and ");
  if (is("login-required") && around) {
    warnings.push(
      isOpen
        ? `the proxy lets anyone through: by ${around} it asks for no login`
        : `by ${around} the proxy asks for no login`,
    );
  } else if (isOpen) {
    warnings.push(
      "the proxy lets anyone through: it asks for no login, and is reached over the " +
        "network",
    );
  } else if (!isExposed && anonymous.length > 0 && way.hasLogin) {
    warnings.push("the login is not needed: the proxy asks for none");
  }
  const isWrongAccepted = results.of("wrong-login")?.outcome === "no";
  if (isWrongAccepted && is("login-required")) {
    warnings.push("the proxy accepts a wrong password");
  }
  if (isExposed && is("login") && sendsPassword(way)) {
    warnings.push(
      "the login travels in clear, and anyone on the network path can read it: use TLS " +
        "(socks5s://) or Kerberos (--gssapi) if the proxy has it, or a tunnel",
    );
  }
  if (way.speaksTls && is("udp")) {
    warnings.push("datagrams travel beside TLS, in clear");
  }
  return warnings;
}

const NAMES: { readonly [name in CheckName]?: string } = {
  socks4: "SOCKS4",
  socks4a: "SOCKS4a",
  http: "HTTP CONNECT",
};

/** Whether the login of the check was a password without TLS. */
function sendsPassword(way: Way): boolean {
  const isProtected = way.auth?.some(({ number }) =>
    number === METHOD.gssapi || number === METHOD.chap
  );
  return way.hasLogin && !way.speaksTls && !isProtected;
}

async function adviceFor(
  examination: Examination,
  isConnected: boolean,
): Promise<readonly string[]> {
  const { way, timeout, results, places } = examination;
  const { errors } = results;
  const is = (name: CheckName) => results.is(name);
  const where = hopAddress(way.proxy);
  if (!is("reach")) return errors.flatMap(adviceOn);
  if (way.speaksTls && !is("tls")) {
    const isOther = errors.some((it) =>
      it instanceof SocksError && it.code === "tls-failed"
    );
    return isOther && await speaksPlainSocks(way, timeout)
      ? [`the port speaks SOCKS5 without TLS: write socks5h://${where}`]
      : errors.flatMap(adviceOn);
  }
  if (isConnected) return [];
  const known = (["socks5", "socks4", "socks4a", "http"] as const).filter(is);
  const isRefused = errors.some((it) =>
    it instanceof SocksError && it.code === "tls-refused"
  );
  if (isRefused) return errors.flatMap(adviceOn);
  if (known.length === 0) {
    return !way.speaksTls && await speaksTls(way, timeout)
      ? [`the port speaks TLS: write socks5s://${where} or https://${where}`]
      : ["the port answers neither SOCKS nor HTTP CONNECT: is it the proxy's?"];
  }
  const others = known.filter((it) => it !== "socks5")
    .map((it) => `${it}://${where}`);
  const isOther = !is(way.protocol.replace("socks5h", "socks5") as CheckName);
  if (isOther && others.length > 0) {
    return [`another protocol works: write ${others.join(" or ")}`];
  }
  if (isLoginRefused(examination)) return errors.flatMap(adviceOn);
  if (is("login-required") && !is("login")) return [...LOGIN_ADVICE];
  if (places.given) return [];
  return [
    places.isExposed
      ? "the proxy may not reach this machine, whose listeners were the targets: name " +
        "another one with --target HOST:PORT"
      : "if the proxy's way out is another machine, as that of ssh -D, it does not reach " +
        "the listeners of this one: name a target with --target HOST:PORT",
  ];
}
