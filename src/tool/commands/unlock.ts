/**
 * `socks5 unlock`: lets clients log in again that are locked out.
 *
 * @module
 */

import type { Host } from "../../cli/host/host.ts";
import { UsageError } from "../../cli/usage_error.ts";
import { isIp } from "../../protocol/address.ts";
import type { LockedClient } from "../../server/auth/lockout.ts";
import type { Command } from "../args/command.ts";
import type { Arguments } from "../args/parse.ts";
import { AdminClient } from "../admin/client.ts";
import { PLACE_FLAGS, PLACE_TEXT, readPlace } from "../admin/place.ts";
import { counted, printAnswer } from "../admin/print.ts";
import { type Column, formatTable } from "../admin/table.ts";

/** The description of the command. */
export const UNLOCK: Command = {
  name: "unlock",
  usage: "[FLAGS] [ADDRESS...]",
  summary:
    "Lets clients log in again that are locked out after failed logins, and forgets\n" +
    "their failures",
  text: `\
${PLACE_TEXT}
An IPv6 address stands for its /64.

Exit codes: 0 done, also if the client was not locked out; 1 no answer;
2 invalid arguments.`,
  flags: [
    { name: "list", text: "List the clients that are locked out" },
    { name: "all", text: "Unlock all clients" },
    ...PLACE_FLAGS,
  ],
  examples: ["socks5 unlock --list", "socks5 unlock 192.0.2.7"],
};

interface Lockouts {
  readonly total: number;
  readonly lockouts: readonly LockedClient[];
}

interface Unlocked {
  readonly unlocked: number;
}

const COLUMNS: readonly Column<LockedClient>[] = [
  { title: "CLIENT", text: ({ client }) => client },
  { title: "FAILED", text: ({ failed }) => `${failed}`, isRight: true },
  {
    title: "UNTIL",
    text: ({ until }) => new Date(until).toISOString().replace(/\.\d+/, ""),
  },
];

/** Runs the command, and returns the exit code. */
export async function unlockCommand(
  host: Host,
  args: Arguments,
): Promise<number> {
  const clients = args.words;
  if (args.urls.length + args.rest.length > 0 || !clients.every(isClient)) {
    throw new UsageError("unlock takes IP addresses of clients");
  }
  const ways = [clients.length > 0, args.has("list"), args.has("all")];
  if (ways.filter((it) => it).length !== 1) {
    throw new UsageError("unlock needs addresses, --list or --all");
  }
  const client = new AdminClient(await readPlace(host, args));
  if (args.has("list")) {
    const parameters = { limit: "1000" };
    const list = await client.ask<Lockouts>(
      "GET",
      "/lockouts",
      "lockouts",
      parameters,
    );
    return await printAnswer(host, args, list, lockoutsText);
  }
  const unlocked = await unlock(client, clients);
  const text = () => `${counted(unlocked, "client")} unlocked\n`;
  return await printAnswer(host, args, { unlocked }, text);
}

/** An address, or one of the list, such as 2001:db8::/64. */
function isClient(word: string): boolean {
  return isIp(word.replace(/\/64$/, "")) !== 0;
}

async function unlock(
  client: AdminClient,
  clients: readonly string[],
): Promise<number> {
  const paths = clients.map((it) => `/lockouts/${encodeURIComponent(it)}`);
  if (paths.length === 0) paths.push("/lockouts?all=true");
  let sum = 0;
  for (const path of paths) {
    sum += (await client.ask<Unlocked>("DELETE", path, "unlocked")).unlocked;
  }
  return sum;
}

function lockoutsText({ total, lockouts }: Lockouts): string {
  const table = lockouts.length === 0 ? "" : formatTable(COLUMNS, lockouts);
  return `${table}${counted(total, "client")} locked out\n`;
}
