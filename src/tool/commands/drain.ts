/**
 * `socks5 drain`: begins the shutdown of a server.
 *
 * @module
 */

import type { Host } from "../../cli/host/host.ts";
import { UsageError } from "../../cli/usage_error.ts";
import type { Command } from "../args/command.ts";
import type { Arguments } from "../args/parse.ts";
import { AdminClient } from "../admin/client.ts";
import { PLACE_FLAGS, PLACE_TEXT, readPlace } from "../admin/place.ts";
import { printAnswer } from "../admin/print.ts";

/** The description of the command. */
export const DRAIN: Command = {
  name: "drain",
  usage: "[FLAGS]",
  summary: "Lets a running server shut down as SIGTERM does",
  text: `\
/health answers 503, new clients are accepted for the server's --drain-delay,
its sessions have the --grace time to end, and then the server ends.

${PLACE_TEXT}

Exit codes: 0 it has begun, 1 no answer, 2 invalid arguments.`,
  flags: PLACE_FLAGS,
  examples: ["socks5 drain --admin unix:/run/socks5/admin.sock"],
};

/** Runs the command, and returns the exit code. */
export async function drainCommand(
  host: Host,
  args: Arguments,
): Promise<number> {
  if (args.urls.length + args.words.length + args.rest.length > 0) {
    throw new UsageError("drain takes only flags");
  }
  const client = new AdminClient(await readPlace(host, args));
  const answer = await client.ask<{ draining: true }>(
    "POST",
    "/drain",
    "draining",
  );
  return await printAnswer(
    host,
    args,
    answer,
    () => "the server shuts down\n",
  );
}
