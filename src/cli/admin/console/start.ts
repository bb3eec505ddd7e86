/**
 * Starts the script of the console.
 *
 * @module
 */

import type { Browser } from "./browser.ts";
import type { Desk, View } from "./desk.ts";
import type { Parts } from "./parts.ts";
import type { PollingState } from "./polling.ts";
import type { RequestError } from "./requests.ts";

/** The script of the page: must not refer to anything outside. */
export function start(parts: Parts, browser: Browser): void {
  const { document } = browser;
  const elements = parts.elements(browser);
  const formats = parts.formats();
  const filters = parts.filters();
  const requests = parts.requests(browser);
  const confirm = parts.dialogs(elements);
  const { get, setText, setAttribute } = elements;

  function explain(error: RequestError): string {
    const { status, message, problems } = error;
    if (status === undefined) return "the server does not answer";
    return problems?.length ? `${message}: ${problems.join("; ")}` : message;
  }

  function report(text: string, isError: boolean): void {
    const result = get("result");
    result.dataset.error = String(isError);
    setText(result, ""); // the same text again is said again
    setText(result, text);
  }

  async function act(run: () => Promise<string>): Promise<void> {
    try {
      report(await run(), false);
    } catch (error) {
      report(`Failed: ${explain(error as RequestError)}`, true);
    }
    polling.now();
  }

  const desk: Desk = {
    elements,
    formats,
    filters,
    requests,
    tables: parts.tables(browser, elements),
    confirm,
    act,
    refresh: () => polling.now(),
    showSessions(filter) {
      select("sessions");
      sessions.setFilter(filter);
      get("filter").focus();
    },
  };
  const overview = parts.overview(
    desk,
    parts.plot(browser, elements, formats),
  );
  const sessions = parts.sessionsView(desk);
  const views: Readonly<Record<string, View>> = {
    sessions,
    users: parts.usersView(desk),
    lockouts: parts.lockoutsView(desk),
  };
  const names = Object.keys(views);
  let current = "sessions";

  function select(name: string): void {
    current = name;
    for (const it of names) {
      const tab = get(`${it}-tab`);
      setAttribute(tab, "aria-selected", String(it === name));
      setAttribute(tab, "tabindex", it === name ? "0" : "-1");
      get(`${it}-panel`).hidden = it !== name;
    }
    polling.now();
  }

  for (const [i, name] of names.entries()) {
    const tab = get(`${name}-tab`);
    tab.addEventListener("click", () => select(name));
    tab.addEventListener("keydown", (event) => {
      const steps: Record<string, number> = {
        ArrowLeft: i - 1,
        ArrowRight: i + 1,
        Home: 0,
        End: -1,
      };
      const step = steps[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const next = names.at(step % names.length)!;
      select(next);
      get(`${next}-tab`).focus();
    });
  }

  function showState(state: PollingState): void {
    const isLocked = state.name === "locked";
    const wasLocked = !get("login").hidden;
    get("login").hidden = !isLocked;
    get("content").hidden = isLocked;
    if (isLocked && !wasLocked) get("token").focus();
    const isWrong = isLocked && requests.hasToken;
    setText(get("login-error"), isWrong ? "This token is wrong." : "");
    const isOpen = !isLocked && state.name !== "failed";
    for (const id of ["reload", "drain", "pause"]) get(id).disabled = isLocked;
    get("drain").disabled = isLocked || overview.isDraining;
    const trouble = get("trouble");
    trouble.hidden = state.name !== "failed";
    const name = isOpen && overview.isDraining && state.name === "live"
      ? "draining"
      : state.name;
    get("state").dataset.state = name;
    const words: Record<string, string> = {
      live: "Serving",
      draining: "Draining",
      paused: "Paused",
      locked: "Locked",
      failed: "No data",
    };
    setText(get("state"), words[name]);
    setText(get("pause"), state.name === "paused" ? "Resume" : "Pause");
    if (state.name !== "failed") return;
    const seconds = Math.round(state.delay / 1000);
    const why = explain(state.error);
    const text = `No data: ${why}. Next attempt in ${seconds} s.`;
    setText(get("trouble-text"), text);
  }

  /** A refusal, for example of a filter, concerns only the list. */
  function showList(view: View, answer: () => unknown): void {
    let refusal = "";
    try {
      view.show(answer());
    } catch (error) {
      const { status, message } = error as RequestError;
      if (status !== 400 && status !== 501) throw error;
      refusal = message;
    }
    setText(get("list-trouble"), refusal);
  }

  const polling = parts.polling(browser, async () => {
    const view = views[current];
    const [status, history, list] = await requests.ask([
      ...overview.targets(),
      view.target(),
    ]);
    overview.show(status(), history());
    showList(view, list);
  }, showState);

  get("pause").addEventListener("click", polling.toggle);
  get("retry").addEventListener("click", polling.now);
  get("reload").addEventListener("click", () => {
    act(async () => {
      const { reloaded: _, ...facts } = await requests.send<
        Record<string, unknown>
      >("POST", "reload");
      const texts = Object.entries(facts).map(([name, value]) =>
        `${name} ${Array.isArray(value) ? value.join(", ") || "none" : value}`
      );
      return ["Reloaded", ...texts].join(" · ");
    });
  });
  get("drain").addEventListener("click", async () => {
    const isYes = await confirm({
      title: "Drain the server?",
      text: "It accepts no new clients, and ends with its last session, or " +
        "after its grace time. This cannot be undone.",
      yes: "Drain",
    });
    if (!isYes) return;
    await act(async () => {
      await requests.send("POST", "drain");
      return "Draining: no new clients are accepted";
    });
  });
  get("login").addEventListener("submit", (event) => {
    event.preventDefault();
    requests.setToken(get("token").value.trim());
    get("token").value = "";
    polling.now();
  });
  browser.addEventListener("hashchange", polling.now);

  const themes = ["auto", "light", "dark"];
  function setTheme(theme: string): void {
    browser.localStorage.setItem("socks5-theme", theme);
    document.documentElement.dataset.theme = theme;
    setText(get("theme"), `Theme: ${theme}`);
  }
  const stored = browser.localStorage.getItem("socks5-theme") ?? "";
  setTheme(themes.includes(stored) ? stored : "auto");
  get("theme").addEventListener("click", () => {
    const theme = document.documentElement.dataset.theme ?? "auto";
    setTheme(themes[(themes.indexOf(theme) + 1) % themes.length]);
  });
  select("sessions");
}
