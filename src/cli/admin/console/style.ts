/**
 * The style of the page.
 *
 * @module
 */

const COLORS = `
:root {
  color-scheme: light dark;
  --ground: light-dark(#f3f5f8, #10141a);
  --card: light-dark(#ffffff, #181e26);
  --raised: light-dark(#eef1f5, #232b36);
  --text: light-dark(#17202b, #e6ebf2);
  --muted: light-dark(#556170, #9daaba);
  --line: light-dark(#dbe1e8, #2c3541);
  --edge: light-dark(#8793a1, #64707f);
  --sent: light-dark(#1f5fbf, #7db1ff);
  --received: light-dark(#a8500c, #ffb06a);
  --good: light-dark(#1b6e3c, #7ddba0);
  --warn: light-dark(#8a5300, #ffc46b);
  --bad: light-dark(#b3261e, #ff9a92);
  --bad-ground: light-dark(#fdeceb, #3a1d1f);
  --on-bad: light-dark(#ffffff, #2a0b0b);
}
:root[data-theme="light"] { color-scheme: light; }
:root[data-theme="dark"] { color-scheme: dark; }
`;

const BASE = `
* { box-sizing: border-box; margin: 0; }
[hidden] { display: none !important; }
body {
  max-width: 90rem;
  margin: 0 auto;
  padding: 1rem 1.25rem 3rem;
  background: var(--ground);
  color: var(--text);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  font-variant-numeric: tabular-nums;
}
html { background: var(--ground); }
h1 { font-size: 1.25rem; letter-spacing: -0.01em; }
h2 { font-size: 1rem; }
small { font-size: 0.8125rem; color: var(--muted); font-weight: 400; }
.unseen {
  position: absolute;
  width: 1px;
  height: 1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}
.card {
  margin-top: 0.875rem;
  padding: 1rem 1.125rem;
  border: 1px solid var(--line);
  border-radius: 10px;
  background: var(--card);
}
button, input { font: inherit; color: inherit; }
button {
  min-height: 2.125rem;
  padding: 0.25rem 0.8125rem;
  border: 1px solid var(--edge);
  border-radius: 7px;
  background: var(--card);
  cursor: pointer;
}
button:hover { background: var(--raised); }
button:disabled { opacity: 0.5; cursor: default; }
button.main {
  border-color: var(--sent);
  background: var(--sent);
  color: light-dark(#ffffff, #0b1a30);
  font-weight: 600;
}
button.danger { border-color: var(--bad); color: var(--bad); }
button.danger.main { background: var(--bad); color: var(--on-bad); }
input {
  min-height: 2.125rem;
  padding: 0.25rem 0.625rem;
  border: 1px solid var(--edge);
  border-radius: 7px;
  background: var(--card);
}
input::placeholder { color: var(--muted); opacity: 1; }
:focus-visible { outline: 2px solid var(--sent); outline-offset: 2px; }
`;

const HEADER = `
header {
  display: flex;
  flex-wrap: wrap;
  gap: 0.625rem 1.5rem;
  align-items: center;
  justify-content: space-between;
}
.title {
  display: flex;
  flex-wrap: wrap;
  gap: 0.25rem 0.75rem;
  align-items: center;
}
.facts { color: var(--muted); overflow-wrap: anywhere; }
.buttons { display: flex; flex-wrap: wrap; gap: 0.5rem; }
.state {
  display: flex;
  align-items: center;
  gap: 0.4375rem;
  padding: 0.0625rem 0.625rem;
  border: 1px solid var(--line);
  border-radius: 999px;
  background: var(--card);
  font-size: 0.875rem;
  font-weight: 600;
}
.state::before {
  content: "";
  width: 0.5rem;
  height: 0.5rem;
  border-radius: 50%;
  background: currentColor;
}
.state[data-state="live"] { color: var(--good); }
.state[data-state="draining"], .state[data-state="paused"] { color: var(--warn); }
.state[data-state="failed"], .state[data-state="locked"] { color: var(--bad); }
.state[data-state="paused"]::before { border-radius: 1px; }
.result:empty { display: none; }
.result, .trouble {
  margin-top: 0.875rem;
  padding: 0.5rem 0.875rem;
  border: 1px solid var(--line);
  border-left: 4px solid var(--good);
  border-radius: 7px;
  background: var(--card);
  overflow-wrap: anywhere;
}
.result[data-error="true"], .trouble { border-left-color: var(--bad); }
.trouble {
  display: flex;
  flex-wrap: wrap;
  gap: 0.5rem 1rem;
  align-items: center;
  background: var(--bad-ground);
}
.login { display: grid; gap: 0.625rem; max-width: 28rem; margin: 3rem auto 0; }
.login p { color: var(--muted); }
.login label { font-weight: 600; }
.error:empty { display: none; }
.error, .login .error { color: var(--bad); }
`;

const CONTENT = `
.figures {
  display: grid;
  grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
  gap: 0.875rem 1.5rem;
}
dt { color: var(--muted); font-size: 0.8125rem; }
dd { font-size: 1.375rem; font-weight: 600; line-height: 1.3; white-space: nowrap; }
dd small { display: block; }
.bar {
  display: flex;
  flex-wrap: wrap;
  gap: 0.5rem 1rem;
  align-items: center;
  margin-bottom: 0.625rem;
}
.legend, .readout, .summary { color: var(--muted); font-size: 0.875rem; }
.readout { margin-left: auto; }
.swatch { width: 28px; height: 8px; }
.plot { display: block; width: 100%; height: 220px; touch-action: pan-y; }
.plot text { fill: var(--muted); font-size: 12px; }
.axes line { stroke: var(--line); }
.cursor { stroke: var(--edge); }
path { fill: none; stroke-width: 2; stroke-linejoin: round; }
path.sent { stroke: var(--sent); }
path.received { stroke: var(--received); stroke-dasharray: 5 3; }
.tabs {
  display: flex;
  gap: 0.25rem;
  margin: -0.5rem -0.5rem 0.875rem;
  border-bottom: 1px solid var(--line);
}
.tabs button {
  border: 0;
  border-bottom: 3px solid transparent;
  border-radius: 7px 7px 0 0;
  color: var(--muted);
  font-weight: 600;
}
.tabs [aria-selected="true"] { border-bottom-color: var(--sent); color: var(--text); }
#filter { flex: 1 1 16rem; max-width: 26rem; }
.summary + button { margin-left: auto; }
.empty { padding: 2rem 0; color: var(--muted); text-align: center; }
.more { margin-top: 0.75rem; text-align: center; }
dialog {
  max-width: min(28rem, calc(100vw - 2rem));
  margin: auto;
  padding: 1.25rem;
  border: 1px solid var(--line);
  border-radius: 12px;
  background: var(--card);
  color: var(--text);
  overflow-wrap: anywhere;
}
dialog::backdrop { background: rgb(0 0 0 / 50%); }
dialog p { margin: 0.5rem 0 1.125rem; }
dialog .buttons { justify-content: flex-end; }
`;

const TABLES = `
.scroll { position: relative; overflow-x: auto; margin: 0 -1.125rem; padding: 0 1.125rem; }
table { width: 100%; border-collapse: collapse; font-size: 0.875rem; }
th, td {
  padding: 0.3125rem 0.625rem;
  border-bottom: 1px solid var(--line);
  text-align: left;
  white-space: nowrap;
}
th:first-child, td:first-child { padding-left: 0; }
th:last-child, td:last-child { padding-right: 0; }
th { color: var(--muted); font-weight: 600; }
th button {
  min-height: 1.75rem;
  margin: 0 -0.375rem;
  padding: 0 0.375rem;
  border: 0;
  background: none;
  font-weight: 600;
}
th button::after, .number button::before {
  content: "";
  display: inline-block;
  width: 1em;
  text-align: center;
}
.number button::after { content: none; }
[aria-sort="ascending"]:not(.number) button::after { content: "↑"; }
[aria-sort="descending"]:not(.number) button::after { content: "↓"; }
[aria-sort="ascending"].number button::before { content: "↑"; }
[aria-sort="descending"].number button::before { content: "↓"; }
[aria-sort] { color: var(--text); }
.number { text-align: right; }
.act { text-align: right; }
td > span, td .link {
  display: block;
  max-width: 15rem;
  overflow: hidden;
  text-align: inherit;
  text-overflow: ellipsis;
}
td:nth-child(2) > span { max-width: 11rem; }
td.number > span { max-width: none; }
td .link {
  min-height: 0;
  padding: 0;
  border: 0;
  background: none;
  color: var(--sent);
  text-decoration: underline;
}
td .end { min-height: 1.75rem; padding: 0 0.625rem; }
td .end:hover { border-color: var(--bad); color: var(--bad); }
tbody tr:hover { background: var(--raised); }
tr.gone { opacity: 0.55; }
[data-totals="false"] :is(th, td):nth-child(n + 5) { display: none; }
`;

/** Each row as a card, and the heads as buttons in lines. */
const PHONE = `
@media (pointer: coarse) {
  button, input, th button, td .end { min-height: 44px; }
  td .link { min-height: 44px; padding-block: 11px; }
}
@media (max-width: 48rem) {
  body { padding: 0.75rem 0.75rem 2rem; }
  .card { padding: 0.875rem; }
  .figures { grid-template-columns: 1fr 1fr; }
  header .buttons { gap: 0.375rem; }
  header button { padding: 0.25rem 0.5rem; }
  .readout { margin-left: 0; flex-basis: 100%; }
  .scroll { margin: 0; padding: 0; }
  table, thead, tbody { display: block; }
  thead tr { display: flex; flex-wrap: wrap; border-bottom: 1px solid var(--line); }
  thead th { padding: 0 0.625rem 0 0; border: 0; }
  th:not(:has(button)) { display: none; }
  tbody tr {
    display: grid;
    grid-template-columns: repeat(6, 1fr);
    gap: 0.125rem 0.75rem;
    padding: 0.625rem 0;
    border-bottom: 1px solid var(--line);
  }
  td, td.number {
    grid-column: span 2;
    min-width: 0;
    padding: 0;
    border: 0;
    text-align: left;
    white-space: normal;
    overflow-wrap: anywhere;
  }
  td::before {
    content: attr(data-label);
    display: block;
    color: var(--muted);
    font-size: 0.75rem;
  }
  td > span, td:nth-child(2) > span, td .link { max-width: none; }
  td:first-child { grid-column: span 4; }
  #sessions :is(td:nth-child(2), td:nth-child(4)),
  #users td:nth-child(8) { grid-column: 1 / -1; }
  #sessions :is(td:nth-child(3), td:nth-child(8)) { grid-column: span 3; }
  #sessions :is(td:nth-child(5), td:nth-child(6), td:nth-child(7)) { order: 1; }
  #sessions .act { order: -2; }
  #sessions td:first-child { order: -3; }
  #sessions :is(td:nth-child(2), td:nth-child(4)) { order: -1; }
  #users td:nth-child(9) { grid-column: span 6; }
  .act { align-self: center; }
  .act::before { content: none; }
  .act button { width: 100%; }
}
@media (prefers-reduced-motion: no-preference) {
  button { transition: background-color 0.12s; }
}
`;

/** All of the style. */
export const STYLE: string = [
  COLORS,
  BASE,
  HEADER,
  CONTENT,
  TABLES,
  PHONE,
].join("");
