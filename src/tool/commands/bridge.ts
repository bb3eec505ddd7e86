/**
 * `socks5 bridge`: a local proxy in front of others.
 *
 * @module
 */

import { EXIT } from "../../cli/failure.ts";
import { parsePort } from "../args/port.ts";
import type { Host } from "../../cli/host/host.ts";
import { UsageError } from "../../cli/usage_error.ts";
import { bridge } from "../../doors/bridge/bridge.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import type { Command } from "../args/command.ts";
import { PROXY_FLAGS } from "../args/flags.ts";
import type { Arguments } from "../args/parse.ts";
import { readProxies } from "../args/proxies.ts";
import { openDialer } from "./dialer.ts";
import { describeToolFailure } from "./failure.ts";
import { whileListening } from "./listening.ts";
import { untilSignal } from "./until_signal.ts";

/** The description of the command. */
export const BRIDGE: Command = {
  name: "bridge",
  usage: "[FLAGS] URL...",
  summary:
    "Puts a proxy without a login on 127.0.0.1 in front of another one, or several in\n" +
    "a row: for browsers, which cannot log in to SOCKS, and for other programs that\n" +
    "lack a protocol, TLS or a login",
  text: `\
The port speaks HTTP (CONNECT and plain requests), SOCKS5, SOCKS4a and SOCKS4.
Every program on this machine can use it. The last proxy resolves the names.

SIGINT and SIGTERM end it at once. Exit codes: 0 ended by a signal, 1 it cannot
listen, 2 invalid arguments, 3 the port is in use.`,
  flags: [
    {
      name: "port",
      value: "PORT",
      text: "The port to listen on (default 0, any free one, which is printed)",
    },
    { name: "http", text: "Serve HTTP only" },
    { name: "socks", text: "Serve SOCKS only" },
    ...PROXY_FLAGS,
  ],
  examples: [
    "socks5 bridge --port 8080 --proxy-file proxy.txt",
    "chromium --proxy-server=http://127.0.0.1:8080",
  ],
};

/** Runs the command, and returns the exit code. */
export async function bridgeCommand(
  host: Host,
  args: Arguments,
): Promise<number> {
  if (args.words.length + args.rest.length > 0) {
    throw new UsageError(
      "bridge takes only proxies' URLs, which begin with a scheme such as socks5h://",
    );
  }
  const [onlyHttp, onlySocks] = [args.has("http"), args.has("socks")];
  if (onlyHttp && onlySocks) {
    throw new UsageError("--http and --socks exclude each other");
  }
  const port = parsePort("--port", args.value("port") ?? "0");
  const dialer = openDialer(await readProxies(args), { remoteNames: true });
  const listening = bridge(dialer, {
    port,
    http: !onlySocks,
    socks: !onlyHttp,
    onError(error, target) {
      const lines = describeToolFailure(error)?.lines ?? [String(error)];
      const where = formatEndpoint(target);
      host.writeError(`socks5 bridge: ${where}: ${lines[0]}\n`);
    },
  });
  const place = { hostname: "127.0.0.1", port };
  const running = await whileListening(place, listening);
  const line = `socks5 listens on ${formatEndpoint(running.addr)} ` +
    `(${running.url}) for ${dialer}`;
  await untilSignal(host, line, () => running.close());
  return EXIT.ok;
}
