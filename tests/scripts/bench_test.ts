/** The comparison with other servers, except for the measurements. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { axisEnd, bars, chart } from "../../scripts/bench/chart.ts";
import {
  baseline,
  format,
  formatRatio,
  type Measurement,
  median,
  type Subject,
  summarize,
  winners,
} from "../../scripts/bench/figures.ts";
import { lines } from "../../scripts/bench/lines.ts";
import {
  familyOf,
  parseCpus,
  parsePs,
  parseStat,
} from "../../scripts/bench/process.ts";
import {
  briefReport,
  command,
  replaceBetweenMarks,
  report,
} from "../../scripts/bench/report.ts";
import { encodeRequest } from "../../scripts/bench/socks.ts";
import { baselines, table } from "../../scripts/bench/table.ts";
import { test } from "../support/harness.ts";

const bun = "Bun 1.4.4";
const subjects: Subject[] = [
  { id: "ours@bun", name: "socks5", runtime: bun, isOurs: true },
  { id: "ours@deno", name: "socks5", runtime: "Deno 2.9.6", isOurs: true },
  { id: "a@bun", name: "@a/socks 1.0.0", runtime: bun, isOurs: false },
  { id: "a@deno", name: "@a/socks 1.0.0", runtime: "Deno", isOurs: false },
  { id: "microsocks", name: "microsocks 1.0.3", isOurs: false },
];

const measurements: Measurement[] = [
  { id: "ours@bun", mode: "down", value: 0.6 },
  { id: "ours@bun", mode: "down", value: 0.4 },
  { id: "ours@bun", mode: "down", value: 9 },
  { id: "ours@deno", mode: "down", value: 0.8 },
  { id: "a@bun", mode: "down", value: 0.5 },
  { id: "a@deno", mode: "down", value: 0.9 },
  { id: "microsocks", mode: "down", value: 3 },
  { id: "ours@bun", mode: "udp", value: 12 },
  { id: "a@bun", mode: "udp", value: 36 },
  { id: "a@deno", mode: "udp", value: 24 },
  { id: "ours@bun", mode: "start", value: 50 },
  { id: "microsocks", mode: "start", value: 2 },
];
const figures = summarize(measurements);

for (
  const [values, middle] of [
    [[3], 3],
    [[5, 1, 2], 2],
    [[4, 1, 2, 3], 2.5],
    [[10, 9, 100], 10],
    [[], NaN],
  ] as const
) {
  test(`median() of ${values} is ${middle}`, () => {
    assertEquals(median(values), middle);
  });
}

test("summarize() returns the medians by mode and server", () => {
  assertEquals(figures.get("down")?.get("ours@bun"), 0.6);
  assertEquals([...figures.keys()], ["down", "udp", "start"]);
  assertEquals(figures.get("udp")?.size, 3);
});

test("winners() returns the ids with the lowest cost, several when they are equal", () => {
  assertEquals(winners(figures, "down", subjects), ["a@bun"]);
  assertEquals(winners(figures, "udp", subjects), ["ours@bun"]);
  assertEquals(winners(figures, "rr", subjects), []);
  const even = summarize([
    { id: "ours@bun", mode: "rr", value: 1 },
    { id: "a@bun", mode: "rr", value: 1 },
  ]);
  assertEquals(winners(even, "rr", subjects), ["ours@bun", "a@bun"]);
});

test("baseline() returns the best peer when microsocks has no figure", () => {
  assertEquals(baseline(figures, "down", subjects), "microsocks");
  assertEquals(baseline(figures, "udp", subjects), "a@deno");
  assertEquals(baseline(figures, "rr", subjects), undefined);
  assertEquals(
    baselines(figures, subjects),
    "microsocks, a@deno (512 B by UDP, there and back)",
  );
});

for (
  const [value, text] of [
    [0.41234, "0.412"],
    [1.234, "1.23"],
    [12.84, "12.8"],
    [99.96, "100.0"],
    [1350.4, "1,350"],
    [Infinity, "–"],
    [NaN, "–"],
  ] as const
) {
  test(`format() of ${value} is ${text}`, () => {
    assertEquals(format(value), text);
  });
}

test("formatRatio() has two decimals below ten", () => {
  assertEquals(formatRatio(0.123), "0.12×");
  assertEquals(formatRatio(31.7), "32×");
});

test("table() has a row for each server, ratios, and the best in bold", () => {
  const empty = new Map([["ours@bun", 25]]);
  assertEquals(table(figures, subjects, empty).split("\n"), [
    "|  | download<br>s CPU per GB | 512 B by UDP, there and back<br>µs CPU each | start<br>ms until it listens |",
    "| --- | ---: | ---: | ---: |",
    "| **socks5, Bun 1.4.4** | 0.600 (0.20×) | **12.0** (0.50×) | 50.0 (2.00×) |",
    "| **socks5, Deno 2.9.6** | 0.800 (0.27×) | – | – |",
    "| @a/socks 1.0.0, Bun 1.4.4 | **0.500** (0.17×) | 36.0 (1.50×) | – |",
    "| @a/socks 1.0.0, Deno | 0.900 (0.30×) | 24.0 (1.00×) | – |",
    "| microsocks 1.0.3 | 3.00 (1.00×) | – | **2.00** |",
  ]);
});

const context = {
  date: "2026-11-25",
  machine: "a machine",
  busy: 0.04,
  args: ["bun", "--rounds", "1"],
  rounds: 1,
  held: 5_000,
};

test("report() contains date, machine and command", () => {
  const text = report(figures, subjects, new Map(), context);
  assert(text.endsWith(
    "\n\n2026-11-25, a machine, load average 0.0 before; `npx -y deno@2.9.6 task bench bun --rounds 1`",
  ));
  assert(text.includes("5,000 open connections"));
});

test("briefReport() has ours and the main peers in the main columns", () => {
  const text = briefReport(figures, subjects, context);
  const cells = text.split("\n").map((it) => it.split(" | "));
  assertEquals(cells.slice(0, 5), [
    ["| ", "download<br>s CPU per GB |"],
    ["| ---", "---: |"],
    ["| **socks5, Bun 1.4.4**", "**0.600** (0.20×) |"],
    ["| **socks5, Deno 2.9.6**", "0.800 (0.27×) |"],
    ["| microsocks 1.0.3", "3.00 (1.00×) |"],
  ]);
  assert(text.endsWith(" 2026-11-25, a machine"), text);
});

for (
  const [args, rest] of [
    [[], ""],
    [["--readme"], ""],
    [["bun", "--out", "a.svg", "--secs", "1"], " bun --secs 1"],
    [["--out=a.svg", "--rounds=2", "--readme"], " --rounds=2"],
  ]
) {
  test(`command() with ${args} ends with "${rest}"`, () => {
    assertEquals(command([...args]), `npx -y deno@2.9.6 task bench${rest}`);
  });
}

test("replaceBetweenMarks() keeps the rest, also when it is called again", () => {
  const mark =
    "<!-- bench: from here to its end written by `task bench --readme` -->";
  const before = `a\n${mark}\nold\n<!-- bench: end -->\nz\n`;
  const once = replaceBetweenMarks(before, "new");
  assertEquals(once, `a\n${mark}\n\nnew\n\n<!-- bench: end -->\nz\n`);
  assertEquals(replaceBetweenMarks(once, "new"), once);
  assertThrows(() => replaceBetweenMarks("a\nz\n", "new"), Error, "marks");
});

test("bars() returns ours on each runtime and the best of each peer, sorted", () => {
  const labels = bars(figures, subjects, "down").map((it) => it.label);
  assertEquals(labels, [
    "a, Bun 1",
    "socks5, Bun 1",
    "socks5, Deno 2",
    "microsocks",
  ]);
});

test("axisEnd() cuts the axis when a bar is far longer than all others", () => {
  assertEquals(axisEnd([1, 2, 400]), 3);
  assertEquals(axisEnd([1, 2, 2.5]), 2.5);
  assertEquals(axisEnd([7]), 7);
});

test("chart() returns well-formed SVG that labels every bar and loads nothing", () => {
  const odd = { ...subjects[2], id: "<&>@bun" };
  const all = [...measurements, { id: odd.id, mode: "rr", value: 1 } as const];
  const svg = chart(summarize(all), [...subjects, odd], "R&D <1>");
  assert(svg.startsWith("<svg "));
  assert(svg.includes("&lt;&amp;>"));
  assert(svg.includes("R&amp;D &lt;1>"));
  assertEquals(svg.match(/<rect class="(ours|peer)"/g)?.length, 4 + 2 + 2 + 1);
  assertEquals(svg.match(/<g /g)?.length, svg.match(/<\/g>/g)?.length);
  assert(!/href|url\(|@import|NaN|undefined/.test(svg));
  assert(svg.includes("prefers-color-scheme: dark"));
});

test("parseStat() parses times when the name contains spaces or parentheses", () => {
  const rest = "S 10 42 42 0 -1 4194304 1 2 3 4 150 50 7 3 20 0 11 0 1 2 3";
  assertEquals(parseStat(`42 (a) b (c) ${rest}`), {
    pid: 42,
    parent: 10,
    cpu: 2.1,
  });
});

for (
  const [time, seconds] of [
    ["0:01.25", 1.25],
    ["01:02:03", 3_723],
    ["2-00:00:01", 172_801],
  ] as const
) {
  test(`parsePs() parses the time ${time}`, () => {
    const process = { pid: 42, parent: 1, cpu: seconds };
    assertEquals(parsePs(`   42     1 ${time}`), process);
  });
}

test("familyOf() returns the process and its descendants", () => {
  const all = [[1, 0], [2, 1], [3, 2], [4, 1], [5, 3], [6, 9]]
    .map(([pid, parent]) => ({ pid, parent, cpu: 0 }));
  assertEquals(familyOf(2, all).map((it) => it.pid), [2, 3, 5]);
  assertEquals(familyOf(7, all), []);
});

test("parseCpus() parses ranges", () => {
  assertEquals(parseCpus("0-2,5"), [0, 1, 2, 5]);
  assertEquals(parseCpus("3"), [3]);
});

test("lines() joins lines that are split between chunks", async () => {
  const octets = new TextEncoder().encode("one\ntwö\n\nrest");
  const chunks = [...octets].map((it) => Uint8Array.of(it));
  const all: string[] = [];
  for await (const line of lines(ReadableStream.from(chunks))) all.push(line);
  assertEquals(all, ["one", "twö", ""]);
});

test("encodeRequest() encodes addresses and names", () => {
  assertEquals(
    encodeRequest(3, { hostname: "127.0.0.1", port: 258 }),
    Uint8Array.of(5, 3, 0, 1, 127, 0, 0, 1, 1, 2),
  );
  assertEquals(
    encodeRequest(1, { hostname: "ab", port: 80 }),
    Uint8Array.of(5, 1, 0, 3, 2, 97, 98, 0, 80),
  );
});
