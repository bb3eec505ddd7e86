/**
 * `socks5 users`: lists the users of a server.
 *
 * @module
 */

import { USER_KEYS } from "../../cli/admin/query.ts";
import type { UserList, UserRow } from "../../cli/serve/control/control.ts";
import type { Host } from "../../cli/host/host.ts";
import { formatBytes } from "../../cli/output/format_bytes.ts";
import { UsageError } from "../../cli/usage_error.ts";
import type { Command } from "../args/command.ts";
import type { Arguments } from "../args/parse.ts";
import { AdminClient } from "../admin/client.ts";
import { PLACE_FLAGS, PLACE_TEXT, readPlace } from "../admin/place.ts";
import { counted, printAnswer } from "../admin/print.ts";
import { type Column, formatTable } from "../admin/table.ts";

/** The description of the command. */
export const USERS: Command = {
  name: "users",
  usage: "[FLAGS]",
  summary: "Lists the users of a running server",
  text: `\
${PLACE_TEXT}
UP and DOWN are the bytes of open sessions. With --accounting, users without a
session are listed as well, with the bytes of both directions of today and of
this month (UTC).

Exit codes: 0 done, 1 no answer, or not from all workers, 2 invalid arguments.`,
  flags: [
    {
      name: "sort",
      value: "KEY",
      text: `One of ${USER_KEYS.join(", ")}; --sort=-KEY reverses the order ` +
        "(default -received)",
    },
    { name: "limit", value: "N", text: "How many to list (default 100)" },
    ...PLACE_FLAGS,
  ],
  examples: [
    "socks5 users --admin unix:/run/socks5/admin.sock --sort=-sessions",
  ],
};

type Users = UserList & { readonly total: number };

const COLUMNS: readonly Column<UserRow>[] = [
  { title: "USER", text: ({ name }) => name },
  { title: "SESSIONS", text: ({ sessions }) => `${sessions}`, isRight: true },
  { title: "UP", text: ({ sent }) => formatBytes(sent), isRight: true },
  {
    title: "DOWN",
    text: ({ received }) => formatBytes(received),
    isRight: true,
  },
];

/** If the server counts what users transfer. */
const COUNTED: readonly Column<UserRow>[] = [
  { title: "TODAY", text: (row) => usageText(row, "day"), isRight: true },
  { title: "MONTH", text: (row) => usageText(row, "month"), isRight: true },
  { title: "QUOTA", text: quotaText, isRight: true },
  {
    title: "UNTIL",
    // The last day, at whose end the account expires.
    text: ({ until }) =>
      until === undefined ? "" : new Date(until - 1).toISOString().slice(0, 10),
  },
];

/** Runs the command, and returns the exit code. */
export async function usersCommand(
  host: Host,
  args: Arguments,
): Promise<number> {
  if (args.urls.length + args.words.length + args.rest.length > 0) {
    throw new UsageError("users takes only flags, such as --limit N");
  }
  const client = new AdminClient(await readPlace(host, args));
  const parameters = { sort: args.value("sort"), limit: args.value("limit") };
  const users = await client.ask<Users>("GET", "/users", "users", parameters);
  return await printAnswer(host, args, users, usersText);
}

function usersText({ total, users }: Users): string {
  const isCounted = users.some((it) => it.totals !== undefined);
  const columns = isCounted ? [...COLUMNS, ...COUNTED] : COLUMNS;
  const table = users.length === 0 ? "" : formatTable(columns, users);
  const all = counted(total, "user");
  const shown = users.length < total
    ? `the first ${users.length} of ${all}, see --limit`
    : all;
  return `${table}${shown}\n`;
}

function usageText({ totals }: UserRow, per: "day" | "month"): string {
  const { sent, received } = totals?.[per] ?? { sent: 0, received: 0 };
  return formatBytes(sent + received);
}

function quotaText({ quota }: UserRow): string {
  if (!quota) return "";
  return `${formatBytes(quota.used)} of ${
    formatBytes(quota.bytes)
  }/${quota.per}`;
}
