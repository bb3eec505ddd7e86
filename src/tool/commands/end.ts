/**
 * `socks5 end`: ends sessions of a server.
 *
 * @module
 */

import { EXIT } from "../../cli/failure.ts";
import type { Ended } from "../../cli/serve/control/control.ts";
import type { Host } from "../../cli/host/host.ts";
import { UsageError } from "../../cli/usage_error.ts";
import type { Command } from "../args/command.ts";
import type { Arguments } from "../args/parse.ts";
import { AbsentError, AdminClient } from "../admin/client.ts";
import { FILTER_FLAGS, readFilters } from "../admin/filters.ts";
import { PLACE_FLAGS, PLACE_TEXT, readPlace } from "../admin/place.ts";
import { counted, printAnswer } from "../admin/print.ts";

/** The description of the command. */
export const END: Command = {
  name: "end",
  usage: "[FLAGS] [ID...]",
  summary:
    "Ends sessions of a running server: those of these ids, or all that match",
  text: `\
${PLACE_TEXT}

Exit codes: 0 done, also if no session matches; 1 no answer, not from all
workers, or no session of this id; 2 invalid arguments.`,
  flags: [
    ...FILTER_FLAGS,
    {
      name: "all",
      text: "End all sessions, if there is neither ID nor filter",
    },
    ...PLACE_FLAGS,
  ],
  examples: ["socks5 end 2-17", "socks5 end --user alice"],
};

/** Runs the command, and returns the exit code. */
export async function endCommand(
  host: Host,
  args: Arguments,
): Promise<number> {
  const ids = args.words;
  if (args.urls.length + args.rest.length > 0 || !ids.every(isId)) {
    throw new UsageError("end takes the ids of sessions, such as 17 or 2-17");
  }
  const filters = readFilters(args);
  const isFiltered = Object.values(filters).some((it) => it !== undefined);
  const ways = [ids.length > 0, isFiltered, args.has("all")];
  if (ways.filter((it) => it).length !== 1) {
    throw new UsageError(
      "end needs ids, filters such as --user NAME, or --all, and only one of these",
    );
  }
  const client = new AdminClient(await readPlace(host, args));
  const all = args.has("all") ? "true" : undefined;
  const text = (it: Ended) => `${counted(it.ended, "session")} ended\n`;
  if (ids.length > 0) {
    const { ended, absent } = await endAll(host, client, ids);
    const code = await printAnswer(host, args, { ended }, text);
    return absent > 0 ? EXIT.failed : code;
  }
  const parameters = { ...filters, all };
  const ended = await client.ask<Ended>(
    "DELETE",
    "/sessions",
    "ended",
    parameters,
  );
  return await printAnswer(host, args, ended, text);
}

function isId(word: string): boolean {
  return /^(\d+-)?\d+$/.test(word);
}

/** Ends those that there are, and reports the others. */
async function endAll(
  host: Host,
  client: AdminClient,
  ids: readonly string[],
): Promise<{ readonly ended: number; readonly absent: number }> {
  let ended = 0;
  for (const id of ids) {
    try {
      await client.ask<Ended>("DELETE", `/sessions/${id}`, "ended");
      ended++;
    } catch (error) {
      if (!(error instanceof AbsentError)) throw error;
      host.writeError(`socks5 end: there is no session ${id}\n`);
    }
  }
  return { ended, absent: ids.length - ended };
}
