/**
 * Options of the proxies that connections go through.
 *
 * @module
 */

import { POOL_STRATEGIES } from "../../../client/pool/strategy.ts";
import { choice, list, oneOrMore } from "../kinds.ts";
import { filePath } from "../server_kinds.ts";
import { namedUpstreams, proxyUrl, proxyUrls } from "../upstream_kinds.ts";
import { option, type OptionTable } from "../option.ts";

/** The options, by their keys in a configuration file. */
export const UPSTREAM = {
  upstream: option(oneOrMore(proxyUrl()), {
    flag: "--upstream URL",
    section: "upstream",
    usedBy: "load",
    description:
      "Proxy that all connections go through, or the proxies of a chain in their order: " +
      "socks5h, socks5, socks4a, socks4, http, https, or with +tls, such as " +
      "socks5h://user:password@proxy.example:1080. If it cannot be reached, requests fail: " +
      "nothing is direct unless a rule says so. With socks5 and socks4 this server resolves " +
      "names, with the others the proxy does, and rules for addresses do not match names.",
    help:
      "Proxy that all connections go through, such as socks5h://proxy.example:1080; " +
      "repeated, the next proxy of a chain. If it cannot be reached, requests fail: " +
      "nothing is direct unless a rule says so. A password in the URL is visible in the " +
      "process list: prefer the file.",
  }),
  upstreamPool: option(list(proxyUrls(), { isSecret: true }), {
    flag: "--upstream-pool URLS",
    section: "upstream",
    usedBy: "load",
    description:
      "Alternatives in place of upstream: proxies, or chains as URLs separated by spaces. " +
      "One that cannot be reached rests for 1s at first and at most for 1m.",
    help:
      "An alternative in place of --upstream, a proxy or a chain ('URL URL'); may be " +
      "repeated. One that cannot be reached rests for 1s at first and at most for 1m.",
  }),
  upstreamStrategy: option(choice(POOL_STRATEGIES), {
    flag: `--upstream-strategy ${POOL_STRATEGIES.join("|")}`,
    section: "upstream",
    usedBy: "load",
    description:
      "Which alternative is used first: the first one, by default, one after the other, " +
      "or the same one for the same user (without a login, the same client)",
  }),
  upstreamCa: option(filePath(), {
    flag: "--upstream-ca FILE",
    section: "upstream",
    usedBy: "load",
    description:
      "Certificates of authorities in PEM for upstream proxies with TLS, in place of those " +
      "that the runtime trusts",
  }),
  upstreams: option(namedUpstreams(), {
    usedBy: "load",
    description:
      "Proxies by name for rules with through NAME. Each is a URL, a list of the URLs of a " +
      "chain, or an object with a pool of alternatives and its strategy.",
  }),
} satisfies OptionTable;
