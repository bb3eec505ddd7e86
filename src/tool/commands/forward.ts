/**
 * `socks5 forward`: a local port that leads to one target.
 *
 * @module
 */

import { EXIT } from "../../cli/failure.ts";
import type { Host } from "../../cli/host/host.ts";
import { UsageError } from "../../cli/usage_error.ts";
import { forward } from "../../doors/bridge/forward.ts";
import {
  formatEndpoint,
  isIp,
  isLoopback,
  parseEndpoint,
} from "../../protocol/address.ts";
import { detectTransport } from "../../transport/detect.ts";
import { isOverTls } from "../../client/proxy.ts";
import type { Address } from "../../transport/transport.ts";
import type { Command } from "../args/command.ts";
import { PROXY_FLAGS } from "../args/flags.ts";
import type { Arguments } from "../args/parse.ts";
import { readProxies } from "../args/proxies.ts";
import { readTarget } from "../args/target.ts";
import { openDialer } from "./dialer.ts";
import { describeToolFailure } from "./failure.ts";
import { forwardUdp } from "./forward_udp.ts";
import { whileListening } from "./listening.ts";
import { untilSignal } from "./until_signal.ts";

/** The description of the command. */
export const FORWARD: Command = {
  name: "forward",
  usage: "[FLAGS] URL... [ADDRESS:]PORT HOST:PORT",
  summary:
    "Listens on a local port, and passes its connections, or with --udp its\n" +
    "datagrams, on to a target through a proxy, or several in a row",
  text: `\
The address must be one of loopback (default 127.0.0.1): whoever reaches the
port reaches the target. Port 0 stands for any free one, which is printed. For
UDP, each client gets an association of its own, which ends after two minutes of
silence; the proxy must be a single one that speaks SOCKS5.

SIGINT and SIGTERM end it at once. Exit codes: 0 ended by a signal, 1 it cannot
listen, 2 invalid arguments, 3 the port is in use.`,
  flags: [
    { name: "udp", text: "Pass datagrams on, not connections" },
    {
      name: "plain-datagrams",
      text: "Allow --udp through a proxy over TLS, although TLS does not " +
        "encrypt the datagrams",
    },
    ...PROXY_FLAGS,
  ],
  examples: [
    "socks5 forward socks5h://127.0.0.1:1080 5432 db.example:5432",
    "socks5 forward --udp socks5://127.0.0.1:1080 5353 192.0.2.53:53",
  ],
};

/** Runs the command, and returns the exit code. */
export async function forwardCommand(
  host: Host,
  args: Arguments,
): Promise<number> {
  const [listen, ...words] = args.words;
  const place = readPlace(listen);
  const target = readTarget(words);
  const isUdp = args.has("udp");
  const plainDatagrams = args.has("plain-datagrams");
  const proxies = await readProxies(args);
  if (isUdp) checkUdp(proxies.hops, plainDatagrams);
  const dialer = openDialer(proxies, {
    plainDatagrams: isUdp && plainDatagrams,
  });
  const onError = (error: unknown) => {
    const lines = describeToolFailure(error)?.lines ?? [String(error)];
    host.writeError(`socks5 forward: ${lines[0]}\n`);
  };
  const transport = await detectTransport();
  const running = await whileListening<Running>(
    place,
    isUdp
      ? forwardUdp({ transport, dialer, target, place, onError })
      : forward(dialer, target, { ...place, transport, onError }),
  );
  const line = `socks5 forwards ${formatEndpoint(running.addr)}` +
    `${isUdp ? " (UDP)" : ""} to ${formatEndpoint(target)} by ${dialer}`;
  await untilSignal(host, line, () => running.close());
  return EXIT.ok;
}

interface Running {
  readonly addr: Address;
  close(): Promise<void>;
}

function checkUdp(
  hops: readonly Parameters<typeof isOverTls>[0][],
  plainDatagrams: boolean,
): void {
  if (hops.length > 1) {
    throw new UsageError(
      "--udp needs a single proxy: datagrams do not travel through a chain",
    );
  }
  const [{ protocol }] = hops;
  if (!protocol.startsWith("socks5")) {
    throw new UsageError(`--udp needs SOCKS5: ${protocol} has no datagrams`);
  }
  if (isOverTls(hops[0]) && !plainDatagrams) {
    throw new UsageError(
      "the datagrams would be sent in clear beside TLS: add --plain-datagrams if that " +
        "is what you want",
    );
  }
}

function readPlace(text: string | undefined): Address {
  if (text === undefined) throw new UsageError("[ADDRESS:]PORT is missing");
  const isPort = /^\d{1,5}$/.test(text);
  let place: Address | undefined;
  try {
    place = parseEndpoint(isPort ? `127.0.0.1:${text}` : text);
  } catch {
    // Reported below; the text may be a login in the wrong place.
  }
  const isOwn = place !== undefined && isIp(place.hostname) !== 0 &&
    isLoopback(place.hostname);
  if (isOwn) return place!;
  throw new UsageError(
    "the first argument after the proxies must be PORT or ADDRESS:PORT, with an " +
      "address of loopback such as 127.0.0.1 or [::1]",
  );
}
