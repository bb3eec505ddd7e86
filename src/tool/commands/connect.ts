/**
 * `socks5 connect`: the standard streams as a connection through proxies.
 *
 * @module
 */

import { EXIT } from "../../cli/failure.ts";
import type { Host } from "../../cli/host/host.ts";
import { detectTransport } from "../../transport/detect.ts";
import type { Command } from "../args/command.ts";
import { PROXY_FLAGS } from "../args/flags.ts";
import type { Arguments } from "../args/parse.ts";
import { readProxies } from "../args/proxies.ts";
import { readTarget } from "../args/target.ts";
import { openDialer } from "./dialer.ts";
import { openStdio } from "../stdio/stdio.ts";

/** The description of the command. */
export const CONNECT: Command = {
  name: "connect",
  usage: "[FLAGS] URL... HOST:PORT",
  summary:
    "Connects to a target through a proxy, or several in a row, and copies the\n" +
    "standard input to the target, and what the target sends to the standard output",
  text: `\
The end of each direction is passed on, and the other one goes on; on Deno, and
if the input is a terminal, the command ends with the target. The target may
also be two arguments, HOST PORT, as ssh writes %h %p.

Exit codes: 0 both directions have ended, 1 there is no connection or it broke,
2 invalid arguments.`,
  flags: PROXY_FLAGS,
  examples: [
    "ssh -o ProxyCommand='socks5 connect socks5h://127.0.0.1:1080 %h %p' HOST",
    "socks5 connect --proxy-file proxy.txt mail.example:25",
  ],
};

/** Runs the command, and returns the exit code. */
export async function connectCommand(
  host: Host,
  args: Arguments,
): Promise<number> {
  const target = readTarget([...args.words, ...args.rest]);
  const dialer = openDialer(await readProxies(args));
  const conn = await dialer.connect(target);
  const transport = await detectTransport();
  const end = await transport.relay(await openStdio(), conn).done;
  // The standard output is closed, and must not be flushed.
  if (end.reason === "finished") return host.exit(EXIT.ok);
  const reason = end.error?.message ?? end.reason;
  if (end.side === "b") {
    host.writeError(`socks5 connect: the connection broke: ${reason}\n`);
  }
  return host.exit(EXIT.failed); // without a word if nothing reads the output
}
