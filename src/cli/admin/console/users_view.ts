/**
 * The tab of the users.
 *
 * @module
 */

import type { Desk, View } from "./desk.ts";

/** Bytes in both directions together, or each of them. */
type Traffic = number | { readonly sent: number; readonly received: number };

/** A user as the API describes it; the last three only with accounting. */
interface UserRow {
  readonly name: string;
  readonly sessions: number;
  readonly sent: number;
  readonly received: number;
  readonly quota?: {
    readonly bytes: number;
    readonly per: string;
    readonly used: number;
  };
  readonly until?: number | string;
  readonly totals?: Readonly<Record<"total" | "day" | "month", Traffic>>;
}

interface UserList {
  readonly total: number;
  readonly users: readonly UserRow[];
}

/** Part of the page's script: must not refer to anything outside. */
export function usersView(desk: Desk): View {
  const { get, setText } = desk.elements;
  const { bytes, count, time } = desk.formats;

  function quotaOf({ quota }: UserRow): string {
    if (!quota) return "–";
    const { used, bytes: limit, per } = quota;
    const share = limit > 0 ? Math.floor(100 * used / limit) : 100;
    return `${bytes(used)} of ${bytes(limit)} a ${per} (${share} %)`;
  }

  function totalOf(traffic: Traffic | undefined): string {
    if (traffic === undefined) return "–";
    return bytes(
      typeof traffic === "number" ? traffic : traffic.sent + traffic.received,
    );
  }

  const table = desk.tables<UserRow>({
    element: get("users"),
    sort: "-received",
    onSort: desk.refresh,
    idOf: ({ name }) => name,
    columns: [
      {
        label: "User",
        sort: "name",
        text: ({ name }) => name,
        onClick: (it) => desk.showSessions(desk.filters.word("user", it.name)),
      },
      {
        label: "Sessions",
        sort: "sessions",
        isNumber: true,
        text: ({ sessions }) => count(sessions),
      },
      {
        label: "Sent",
        sort: "sent",
        isNumber: true,
        text: ({ sent }) => bytes(sent),
      },
      {
        label: "Received",
        sort: "received",
        isNumber: true,
        text: ({ received }) => bytes(received),
      },
      {
        label: "Today",
        isNumber: true,
        text: ({ totals }) => totalOf(totals?.day),
      },
      {
        label: "This month",
        isNumber: true,
        text: ({ totals }) => totalOf(totals?.month),
      },
      {
        label: "In all",
        isNumber: true,
        text: ({ totals }) => totalOf(totals?.total),
      },
      { label: "Quota used", isNumber: true, text: quotaOf },
      {
        label: "Expires",
        text: ({ until }) => until === undefined ? "–" : time(until),
      },
    ],
  });

  return {
    target: () => ["users", { sort: table.sort, limit: 500 }],
    show(answer) {
      const { total, users } = answer as UserList;
      table.update(users);
      // The columns of accounting are shown only if there is any.
      const hasTotals = users.some((it) => it.totals ?? it.quota ?? it.until);
      get("users").dataset.totals = String(hasTotals);
      const cut = users.length < total
        ? `, the first ${count(users.length)} shown`
        : "";
      const noun = total === 1 ? "user" : "users";
      setText(get("users-summary"), `${count(total)} ${noun}${cut}`);
      get("no-users").hidden = total > 0;
    },
  };
}
