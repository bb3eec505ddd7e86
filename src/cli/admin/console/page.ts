/**
 * The page of the console.
 *
 * @module
 */

import { consoleScript } from "./script.ts";
import { STYLE } from "./style.ts";

/** An icon as a data URL, so that browsers do not ask for `/favicon.ico`. */
const ICON = "data:image/svg+xml," + encodeURIComponent(
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">` +
    `<rect width="32" height="32" rx="8" fill="#1f5fbf"/>` +
    `<path d="M6 12h18l-5-5M26 20H8l5 5" ` +
    `fill="none" stroke="#fff" stroke-width="3"/></svg>`,
);

const HEADER = `
<header>
  <div class="title">
    <h1>socks5</h1>
    <p id="state" class="state" data-state="connecting">Connecting</p>
    <p id="facts" class="facts"></p>
  </div>
  <div class="buttons">
    <button id="pause" type="button">Pause</button>
    <button id="reload" type="button">Reload</button>
    <button id="drain" type="button">Drain</button>
    <button id="theme" type="button">Theme</button>
  </div>
</header>
<p id="result" class="result" role="status"></p>
<div id="trouble" class="trouble" role="alert" hidden>
  <p id="trouble-text"></p>
  <button id="retry" type="button">Try now</button>
</div>`;

const LOGIN = `
<form id="login" class="card login" hidden>
  <h2>Token</h2>
  <p>The server needs a token. It printed one when it started, unless it reads it from the
  file of --admin-token-file.</p>
  <label for="token">Token</label>
  <input id="token" type="password" required autocomplete="off" spellcheck="false"
    aria-describedby="login-error">
  <p id="login-error" class="error" role="alert"></p>
  <button type="submit" class="main">Show the console</button>
</form>`;

/** Returns a figure of the totals. */
function figure(label: string, id: string, note: string): string {
  return `<div><dt>${label}</dt><dd><span id="${id}">–</span>${note}</dd></div>`;
}

const FIGURES = `
<section class="card" aria-labelledby="totals-title">
  <h2 id="totals-title" class="unseen">Totals</h2>
  <dl class="figures">
    ${figure("Open sessions", "open", "")}
    ${figure("Sent", "sent", `<small id="sent-total"></small>`)}
    ${figure("Received", "received", `<small id="received-total"></small>`)}
    ${figure("Sessions since start", "started", "")}
    ${figure("Clients rejected", "rejected", "")}
    ${figure("Targets denied", "denied", "")}
  </dl>
</section>`;

/** The sample of a line in the legend. */
function swatch(name: string): string {
  return `<svg class="swatch" viewBox="0 0 28 8" aria-hidden="true">` +
    `<path class="${name}" d="M0 4H28"/></svg>`;
}

const PLOT = `
<section class="card" aria-labelledby="plot-title">
  <div class="bar">
    <h2 id="plot-title">Throughput</h2>
    <p class="legend">${swatch("sent")} Sent to targets</p>
    <p class="legend">${swatch("received")} Received from targets</p>
    <p id="readout" class="readout"></p>
  </div>
  <svg id="plot" class="plot" role="img" aria-label="Throughput"></svg>
</section>`;

function tab(name: string, label: string): string {
  return `<button id="${name}-tab" type="button" role="tab" ` +
    `aria-controls="${name}-panel">${label}</button>`;
}

/** Returns the panel of a tab, with its controls, its table and a text if that is empty. */
function panel(
  name: string,
  title: string,
  controls: string,
  empty: string,
): string {
  return `
  <div id="${name}-panel" role="tabpanel" aria-labelledby="${name}-tab" hidden>
    <div class="bar">${controls}</div>
    <div class="scroll" role="region" aria-label="${title}" tabindex="0">
      <table id="${name}" role="table" aria-label="${title}"></table>
    </div>
    <p id="no-${name}" class="empty" hidden>${empty}</p>
    ${name === "sessions" ? MORE : ""}
  </div>`;
}

const MORE = `<p class="more">
      <button id="more" type="button" hidden>Show 100 more</button>
    </p>`;

const SESSION_CONTROLS = `
      <label for="filter" class="unseen">Filter the sessions</label>
      <input id="filter" type="search" autocomplete="off" spellcheck="false"
        placeholder="Filter: text or user:NAME" aria-describedby="filter-help">
      <p id="summary" class="summary"></p>
      <button id="end-all" type="button" class="danger">End all</button>
      <p id="filter-help" class="unseen">Searches users, clients and targets. Words such as
      user:NAME, client:192.0.2.1, command:connect and phase:relay filter exactly.</p>`;

const USER_CONTROLS = `<p id="users-summary" class="summary"></p>`;

const LOCKOUT_CONTROLS = `<p id="lockouts-summary" class="summary"></p>
      <button id="unlock-all" type="button">Unlock all</button>`;

const TABS = `
<section class="card" aria-label="Lists">
  <div class="tabs" role="tablist" aria-label="Lists">
    ${tab("sessions", "Sessions")}
    ${tab("users", "Users")}
    ${tab("lockouts", "Lock-outs")}
  </div>
  <p id="list-trouble" class="error" role="status"></p>
  ${panel("sessions", "Open sessions", SESSION_CONTROLS, "No open sessions.")}
  ${panel("users", "Users", USER_CONTROLS, "No user has a session.")}
  ${
  panel("lockouts", "Lock-outs", LOCKOUT_CONTROLS, "No client is locked out.")
}
</section>`;

const DIALOG = `
<dialog id="dialog" aria-labelledby="dialog-title" aria-describedby="dialog-text">
  <h2 id="dialog-title"></h2>
  <p id="dialog-text"></p>
  <div class="buttons">
    <button id="dialog-no" type="button">Cancel</button>
    <button id="dialog-yes" type="button" class="danger main"></button>
  </div>
</dialog>`;

let script: string | undefined;

/**
 * Returns the page of the console, whose style and script carry the nonce. It refers to
 * nothing but the API beside it, and contains no data.
 */
export function consolePage(nonce: string): string {
  script ??= consoleScript();
  return `<!DOCTYPE html>
<html lang="en" data-theme="auto">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>socks5</title>
<link rel="icon" href="${ICON}">
<style nonce="${nonce}">${STYLE.replaceAll(/^ +/gm, "")}</style>
</head>
<body>${HEADER}
<main>${LOGIN}
<div id="content">${FIGURES}${PLOT}${TABS}
</div>
</main>${DIALOG}
<noscript>The console needs JavaScript.</noscript>
<script nonce="${nonce}">${script}</script>
</body>
</html>
`;
}
