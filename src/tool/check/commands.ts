/**
 * Checks of the commands, and of the other protocols on the port.
 *
 * @module
 */

import { type Endpoint, isIp } from "../../protocol/address.ts";
import { METHOD } from "../../protocol/socks5.ts";
import {
  type Examination,
  lacksLogin,
  protocolOf,
  questionOf,
  tryConnect,
} from "./examination.ts";
import {
  type Answer,
  askBind,
  askResolve,
  askReverse,
  type Question,
} from "./probes.ts";
import type { CheckName } from "./report.ts";
import { askFragments, askUdp } from "./udp_probes.ts";

/** Tries the commands of the URL's protocol, with the login. */
export async function checkCommands(examination: Examination): Promise<void> {
  const { way, results, places } = examination;
  const protocol = protocolOf(way);
  const isSocks5 = protocol === "socks5h";
  if (isSocks5 && !results.is("socks5") || lacksLogin(examination)) return;
  const question = questionOf(examination, "own");
  await checkConnect(examination, question);
  if (protocol === "http") results.skip("bind", "HTTP has no such command");
  else await results.run("bind", () => askBind(question, places.self));
  if (isSocks5) {
    await checkUdp(examination, question);
    return await checkLookups(examination, question);
  }
  for (const name of ["udp", "udp-fragments", "resolve", "reverse"] as const) {
    results.skip(name, "only SOCKS5 has it");
  }
}

async function checkConnect(
  examination: Examination,
  question: Question,
): Promise<void> {
  const { results } = examination;
  let halfClose: Answer | undefined;
  for (const [name, target] of connectTargets(examination, question)) {
    if (typeof target === "string") results.skip(name, target);
    else {
      const { halfClose: found } = await results.run(
        name,
        () => tryConnect(examination, name, question, target),
      );
      halfClose ??= found;
    }
  }
  if (halfClose) results.keep("half-close", halfClose);
  else results.skip("half-close", "needs an own target that was reached");
}

/** Targets, or why there is none. */
function connectTargets(
  { places }: Examination,
  { protocol }: Question,
): [name: CheckName, target: Endpoint | string][] {
  const isSocks4 = protocol === "socks4" || protocol === "socks4a";
  const noName = places.given
    ? "the target is an address"
    : "needs --target NAME:PORT";
  return [
    ["connect-ipv4", places.target(4) ?? places.missing(4)],
    [
      "connect-ipv6",
      isSocks4 ? "SOCKS4 has no IPv6" : places.target(6) ?? places.missing(6),
    ],
    [
      "connect-name",
      protocol === "socks4" ? "SOCKS4 has no names" : places.named() ?? noName,
    ],
  ];
}

async function checkUdp(
  { way, results, places }: Examination,
  question: Question,
): Promise<void> {
  if (way.isChain) {
    for (const name of ["udp", "udp-fragments"] as const) {
      results.skip(name, "datagrams do not travel through a chain");
    }
    return;
  }
  const { own } = places;
  const target = own?.udp.get(4) ?? own?.udp.get(6);
  await results.run("udp", () => askUdp(question, target, own));
  if (!results.is("udp") || !own || !target) {
    results.skip("udp-fragments", own ? "no datagrams" : "needs an own target");
  } else if (way.auth?.some(({ number }) => number === METHOD.gssapi)) {
    results.skip("udp-fragments", "Kerberos protects whole datagrams only");
  } else {
    await results.run(
      "udp-fragments",
      () => askFragments(question, target, own),
    );
  }
}

async function checkLookups(
  { results, places: { given } }: Examination,
  question: Question,
): Promise<void> {
  const isNamed = given !== undefined && isIp(given.hostname) === 0;
  const name = isNamed ? given.hostname : "localhost";
  await results.run("resolve", () => askResolve(question, name));
  const address = given && !isNamed ? given.hostname : "127.0.0.1";
  await results.run("reverse", () => askReverse(question, address));
}

/** Tries every protocol on the same port, first without a login. */
export async function checkProtocols(examination: Examination): Promise<void> {
  const { results, places } = examination;
  const four = places.target(4);
  await checkProtocol(examination, "socks4", four ?? "needs an IPv4 target");
  if (results.of("socks4")?.code === "timeout") {
    const detail = "no answer, as by SOCKS4";
    results.keep("socks4a", { outcome: "no", detail, code: "timeout" });
  } else {
    const target = places.named() ?? four ?? "needs a target by name";
    await checkProtocol(examination, "socks4a", target);
  }
  await checkProtocol(examination, "http", places.target() ?? "needs a target");
}

async function checkProtocol(
  examination: Examination,
  name: "socks4" | "socks4a" | "http",
  target: Endpoint | string,
): Promise<void> {
  const { results, way } = examination;
  if (typeof target === "string") return results.skip(name, target);
  await results.run(name, async () => {
    const without = questionOf(examination, "none", name);
    const answer = await tryConnect(examination, name, without, target);
    const hasPassword = way.hasLogin && results.is("login");
    if (answer.outcome === "yes" || !hasPassword) return answer;
    const question = questionOf(examination, "own", name);
    return await tryConnect(examination, name, question, target);
  });
}
