/**
 * The tab of the clients that are locked out after failed logins.
 *
 * @module
 */

import type { Desk, View } from "./desk.ts";

/** A lock-out as the API describes it. */
interface LockoutRow {
  readonly client: string;
  readonly failed: number;
  readonly until: number | string;
}

interface LockoutList {
  readonly lockouts: readonly LockoutRow[];
}

/** Part of the page's script: must not refer to anything outside. */
export function lockoutsView(desk: Desk): View {
  const { get, setText } = desk.elements;
  const { count, time } = desk.formats;
  const { act, requests } = desk;
  const unlockAll = get("unlock-all");

  const table = desk.tables<LockoutRow>({
    element: get("lockouts"),
    idOf: ({ client }) => client,
    columns: [
      { label: "Client", text: ({ client }) => client },
      {
        label: "Failed logins",
        isNumber: true,
        text: ({ failed }) => count(failed),
      },
      { label: "Locked until", text: ({ until }) => time(until) },
    ],
    action: {
      label: "Unlock",
      describe: ({ client }) => `Unlock ${client}`,
      run: ({ client }) => {
        act(async () => {
          const path = `lockouts/${encodeURIComponent(client)}`;
          await requests.send("DELETE", path);
          table.remove(client);
          return `Unlocked ${client}`;
        });
      },
    },
  });

  unlockAll.addEventListener("click", () => {
    act(async () => {
      const { unlocked } = await requests.send<{ unlocked: number }>(
        "DELETE",
        "lockouts",
        { all: "true" },
      );
      return `Unlocked ${count(unlocked)} ${
        unlocked === 1 ? "client" : "clients"
      }`;
    });
  });

  return {
    target: () => ["lockouts"],
    show(answer) {
      const { lockouts } = answer as LockoutList;
      table.update(lockouts);
      const { length } = lockouts;
      const noun = length === 1 ? "client is" : "clients are";
      setText(get("lockouts-summary"), `${count(length)} ${noun} locked out`);
      unlockAll.disabled = length === 0;
      get("no-lockouts").hidden = length > 0;
    },
  };
}
