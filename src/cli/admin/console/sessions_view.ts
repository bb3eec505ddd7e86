/**
 * The tab of the sessions.
 *
 * @module
 */

import type { Desk, View } from "./desk.ts";

interface Endpoint {
  readonly hostname: string;
  readonly port: number;
}

/** A session as the API describes it. */
interface SessionRow {
  readonly id: string;
  readonly client: Endpoint;
  readonly user?: string;
  readonly userId?: string;
  readonly command?: string;
  readonly target?: Endpoint;
  readonly sent: number;
  readonly received: number;
  readonly duration: number;
  readonly phase: string;
}

interface SessionList {
  readonly total: number;
  readonly matched: number;
  /** How many workers have not answered. */
  readonly missing?: number;
  readonly sessions: readonly SessionRow[];
}

/** The tab of the sessions. */
export interface SessionsView extends View {
  /** Replaces the filter. */
  setFilter(text: string): void;
}

/** Part of the page's script: must not refer to anything outside. */
export function sessionsView(desk: Desk): SessionsView {
  const { filters, requests, tables, act, confirm } = desk;
  const { get, setText } = desk.elements;
  const { bytes, duration, count } = desk.formats;
  const [filter, more, endAll] = ["filter", "more", "end-all"].map(get);
  const step = 100;
  let limit = step;
  let matched = 0;
  /** The query that was sent last, and that of the rows that are shown. */
  let [sentQuery, shownQuery] = ["", ""];

  function textOf(endpoint: Endpoint | undefined): string {
    if (!endpoint) return "–";
    const { hostname, port } = endpoint;
    return hostname.includes(":")
      ? `[${hostname}]:${port}`
      : `${hostname}:${port}`;
  }

  const nameOf = ({ user, userId }: SessionRow) => user ?? userId ?? "–";
  const sessionsOf = (number: number) =>
    `${count(number)} ${number === 1 ? "session" : "sessions"}`;

  const table = tables<SessionRow>({
    element: get("sessions"),
    sort: "-received",
    onSort: desk.refresh,
    idOf: ({ id }) => id,
    columns: [
      { label: "Client", sort: "client", text: (it) => textOf(it.client) },
      { label: "User", sort: "user", text: nameOf },
      { label: "Command", text: ({ command }) => command ?? "–" },
      { label: "Target", sort: "target", text: (it) => textOf(it.target) },
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
        label: "Age",
        sort: "duration",
        isNumber: true,
        text: (it) => duration(it.duration),
      },
      { label: "Phase", text: ({ phase }) => phase },
    ],
    action: {
      label: "End",
      describe: (it) =>
        `End the session of ${nameOf(it)}, ${textOf(it.client)}`,
      run: (it) => {
        act(async () => {
          await requests.send(
            "DELETE",
            `sessions/${encodeURIComponent(it.id)}`,
          );
          table.remove(it.id);
          return `Ended the session of ${nameOf(it)}, ${textOf(it.client)}`;
        });
      },
    },
  });

  async function endAllThatMatch(): Promise<void> {
    const text = filter.value.trim();
    const query = filters.parse(text);
    const isYes = await confirm({
      title: `End ${sessionsOf(matched)}?`,
      text: text
        ? `All sessions that match ${text} are ended now.`
        : "All sessions of all clients are ended now.",
      yes: `End ${sessionsOf(matched)}`,
    });
    if (!isYes) return;
    await act(async () => {
      const all = text ? query : { all: "true" };
      const { ended } = await requests.send<{ ended: number }>(
        "DELETE",
        "sessions",
        all,
      );
      return `Ended ${sessionsOf(ended)}`;
    });
  }

  function restart(): void {
    limit = step;
    desk.refresh();
  }

  filter.addEventListener("input", restart);
  endAll.addEventListener("click", endAllThatMatch);
  more.addEventListener("click", () => {
    limit += step;
    desk.refresh();
  });

  return {
    target() {
      const { sort } = table;
      const query = { ...filters.parse(filter.value), sort, limit };
      sentQuery = JSON.stringify(query);
      return ["sessions", query];
    },
    show(answer) {
      const list = answer as SessionList;
      matched = list.matched;
      if (sentQuery !== shownQuery) table.release();
      shownQuery = sentQuery;
      table.update(list.sessions);
      const isFiltered = filter.value.trim() !== "";
      const all = isFiltered
        ? `${count(matched)} of ${sessionsOf(list.total)} match`
        : sessionsOf(list.total);
      const shown = list.sessions.length;
      const cut = shown < matched ? `, the first ${count(shown)} shown` : "";
      const { missing } = list;
      const lack = missing ? `, ${missing} workers have not answered` : "";
      setText(get("summary"), all + cut + lack);
      setText(endAll, isFiltered ? "End all that match" : "End all");
      endAll.disabled = matched === 0;
      more.hidden = shown >= matched;
      get("no-sessions").hidden = matched > 0;
      setText(
        get("no-sessions"),
        isFiltered ? "No session matches the filter." : "No open sessions.",
      );
    },
    setFilter(text) {
      filter.value = text;
      restart();
    },
  };
}
