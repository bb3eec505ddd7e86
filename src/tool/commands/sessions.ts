/**
 * `socks5 sessions`: lists the open sessions of a server.
 *
 * @module
 */

import { SESSION_KEYS } from "../../cli/serve/control/control.ts";
import type {
  SessionPage,
  SessionRow,
} from "../../cli/serve/control/control.ts";
import type { Host } from "../../cli/host/host.ts";
import { formatBytes } from "../../cli/output/format_bytes.ts";
import { formatDuration } from "../../cli/output/format_duration.ts";
import { addressText } from "../../cli/output/record.ts";
import { UsageError } from "../../cli/usage_error.ts";
import type { Command } from "../args/command.ts";
import type { Arguments } from "../args/parse.ts";
import { AdminClient } from "../admin/client.ts";
import { FILTER_FLAGS, readFilters } from "../admin/filters.ts";
import { PLACE_FLAGS, PLACE_TEXT, readPlace } from "../admin/place.ts";
import { counted, printAnswer } from "../admin/print.ts";
import { type Column, formatTable } from "../admin/table.ts";

/** The description of the command. */
export const SESSIONS: Command = {
  name: "sessions",
  usage: "[FLAGS]",
  summary: "Lists the open sessions of a running server, of all its workers",
  text: `\
${PLACE_TEXT}
UP are the bytes from the client, DOWN those to it. A user in parentheses is
only claimed.

Exit codes: 0 done, 1 no answer, or not from all workers, 2 invalid arguments.`,
  flags: [
    ...FILTER_FLAGS,
    {
      name: "sort",
      value: "KEY",
      text: `One of ${SESSION_KEYS.join(", ")}; --sort=-KEY reverses the ` +
        "order (default -received)",
    },
    { name: "limit", value: "N", text: "How many to list (default 100)" },
    ...PLACE_FLAGS,
  ],
  examples: [
    "socks5 sessions --admin unix:/run/socks5/admin.sock --sort=-sent --limit 10",
    "socks5 sessions --user alice --json",
  ],
};

const COLUMNS: readonly Column<SessionRow>[] = [
  { title: "ID", text: ({ id }) => id, isRight: true },
  { title: "USER", text: userText },
  { title: "CLIENT", text: ({ client }) => addressText(client) },
  {
    title: "TARGET",
    text: ({ target }) => target ? addressText(target) : "-",
  },
  { title: "STATE", text: stateText },
  { title: "UP", text: ({ sent }) => formatBytes(sent), isRight: true },
  {
    title: "DOWN",
    text: ({ received }) => formatBytes(received),
    isRight: true,
  },
  {
    title: "FOR",
    text: ({ duration }) => formatDuration(duration),
    isRight: true,
  },
];

/** Runs the command, and returns the exit code. */
export async function sessionsCommand(
  host: Host,
  args: Arguments,
): Promise<number> {
  if (args.urls.length + args.words.length + args.rest.length > 0) {
    throw new UsageError("sessions takes only flags, such as --user NAME");
  }
  const client = new AdminClient(await readPlace(host, args));
  const page = await client.ask<SessionPage>("GET", "/sessions", "sessions", {
    ...readFilters(args),
    sort: args.value("sort"),
    limit: args.value("limit"),
  });
  return await printAnswer(host, args, page, pageText);
}

function pageText({ total, matched, sessions }: SessionPage): string {
  const table = sessions.length === 0 ? "" : formatTable(COLUMNS, sessions);
  const all = counted(total, "session");
  const found = matched === total ? all : `${matched} of ${all}`;
  const shown = sessions.length < matched
    ? `the first ${sessions.length} of ${found}, see --limit`
    : found;
  return `${table}${shown}\n`;
}

function userText({ user, userId, phase }: SessionRow): string {
  if (user !== undefined) return phase === "handshake" ? `(${user})` : user;
  return userId ? `(${userId})` : "-";
}

function stateText({ command, phase }: SessionRow): string {
  return command === undefined || command === "connect"
    ? phase
    : `${command} ${phase}`;
}
