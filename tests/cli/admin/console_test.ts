import { assert, assertEquals, assertMatch } from "@std/assert";
import { readFileSync } from "node:fs";
import process from "node:process";
import { filters } from "../../../src/cli/admin/console/filters.ts";
import { formats } from "../../../src/cli/admin/console/formats.ts";
import { consolePage } from "../../../src/cli/admin/console/page.ts";
import { parts } from "../../../src/cli/admin/console/parts.ts";
import {
  polling,
  type PollingState,
} from "../../../src/cli/admin/console/polling.ts";
import { test } from "../../support/harness.ts";

const page = consolePage("n0nce");
const script = /<script nonce="n0nce">([^]*)<\/script>/.exec(page)![1];
const html = page.replace(script, "").replace(/<style[^]*<\/style>/, "");

test("consolePage() gives style and script the nonce, and has no other code", () => {
  const elements = page.match(/<(?:script|style)\b[^>]*>/g);
  assertEquals(elements, [`<style nonce="n0nce">`, `<script nonce="n0nce">`]);
  assert(!/\s(?:on\w+|style)\s*=/i.test(html));
  assert(!/javascript:/i.test(page));
});

test("consolePage() refers to nothing outside", () => {
  assert(!/@import|url\(/.test(page));
  const references = [...html.matchAll(/\b(?:src|href|action)="([^"]*)"/g)];
  assertEquals(references.length, 1);
  assertMatch(references[0][1], /^data:image\/svg\+xml,/);
  const urls = page.match(/https?:\/\/[^"'`\s]+/g);
  assertEquals(urls, ["http://www.w3.org/2000/svg"]);
});

test("consolePage() never makes HTML of text", () => {
  assert(!/innerHTML|outerHTML|insertAdjacent|document\.write/.test(script));
  assert(!/\beval\b|new Function/.test(script));
  assert(!/<\/script|<!--/i.test(script));
});

test("consolePage() contains a script that can be parsed, without comments", () => {
  new Function(script); // throws otherwise
  assert(!/^\s*(?:\/\/|\/?\*)/m.test(script));
});

test("consolePage() has an element for each id that the script asks for, once", () => {
  const ids = [...html.matchAll(/\sid="([^"]+)"/g)].map((it) => it[1]);
  assertEquals(ids.length, new Set(ids).size);
  for (const [, id] of script.matchAll(/\bget\("([\w-]+)"\)/g)) {
    assert(ids.includes(id), id);
  }
  for (const [, id] of html.matchAll(/\b(?:for|aria-\w+by)="([^"]+)"/g)) {
    assert(ids.includes(id), id);
  }
});

test("the parts of the script refer to nothing outside themselves", () => {
  const folder = `${process.cwd()}/src/cli/admin/console`;
  const nameOf = (part: string) =>
    part.replace(/[A-Z]/g, (it) => `_${it.toLowerCase()}`);
  for (const part of ["start", ...Object.keys(parts)]) {
    const text = readFileSync(`${folder}/${nameOf(part)}.ts`, "utf8");
    const imports = text.match(/^import .*/gm) ?? [];
    for (const it of imports) assertMatch(it, /^import type /, part);
    assertEquals(
      text.match(/^(?:export )?(?:const|let|class|enum|function) .*/gm)?.length,
      1,
      part,
    );
  }
});

/** A part as the page gets it. */
function asText<T>(part: () => T): T {
  return new Function(`"use strict"; return (${part})();`)();
}

test("formats() shows numbers with three digits and units", () => {
  const { bytes, rate, count, duration, time } = asText(formats);
  const values = [0, 999, 1000, 1234, 12_345, 99_950, 999_499, 999_500, 1e18];
  assertEquals(values.map(bytes), [
    "0 B",
    "999 B",
    "1.00 kB",
    "1.23 kB",
    "12.3 kB",
    "100 kB",
    "999 kB",
    "1.00 MB",
    "1000 PB",
  ]);
  assertEquals(rate(2.5e6), "2.50 MB/s");
  assertEquals(count(5000), "5,000");
  const durations = [-1, 59_999, 61_000, 3_660_000, 90_000_000];
  assertEquals(durations.map(duration), [
    "0 s",
    "59 s",
    "1 min 01 s",
    "1 h 01 min",
    "1 d 01 h",
  ]);
  const noon = new Date(2026, 0, 2, 12, 5).getTime();
  assertEquals(time(noon), "2026-01-02 12:05");
  assertEquals(time("at some time"), "at some time");
});

test("formats() divides an axis by round numbers", () => {
  const { ticks } = asText(formats);
  assertEquals(ticks(1000), [0, 500, 1000]);
  assertEquals(ticks(4_100_000), [0, 2e6, 4e6, 6e6]);
  for (const maximum of [0, 1, 7, 1023, 3.7e9]) {
    const values = ticks(maximum);
    assert(values[values.length - 1] >= maximum);
    assert(values.length >= 3 && values.length <= 6, `${values}`);
  }
});

test("filters() reads exact filters and text", () => {
  const { parse } = asText(filters);
  assertEquals(parse(""), {});
  assertEquals(parse("  exam ple "), { text: "exam ple" });
  assertEquals(parse("user:alice phase:relay x"), {
    user: "alice",
    phase: "relay",
    text: "x",
  });
  assertEquals(parse('user:"a \\"b\\"" client:[::1]:5'), {
    user: 'a "b"',
    client: "[::1]:5",
  });
  assertEquals(parse('user:"a b'), { user: '"a', text: "b" });
  assertEquals(parse("superuser:x port:1"), { text: "superuser:x port:1" });
});

test("filters() writes words that it reads again", () => {
  const { parse, word } = asText(filters);
  for (const name of ["al", "a b", '"', 'a"b', "\\", "user:x", "<b>", "é\n"]) {
    assertEquals(parse(word("user", name)), { user: name });
  }
});

/** A polling whose timers and answers the test decides about. */
function startPolling() {
  let onChange = () => {};
  const timers = new Map<number, { run: () => void; delay: number }>();
  const answers: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const states: PollingState[] = [];
  let requests = 0;
  let last = 0;
  const document = {
    hidden: false,
    addEventListener: (_: string, listener: () => void) => {
      onChange = listener;
    },
  };
  const browser = {
    document,
    setTimeout: (run: () => void, delay: number) => {
      timers.set(++last, { run, delay });
      return last;
    },
    clearTimeout: (timer: number | undefined) => {
      if (timer !== undefined) timers.delete(timer);
    },
  };
  const refresh = () => {
    requests++;
    return new Promise<void>((resolve, reject) =>
      answers.push({ resolve, reject })
    );
  };
  const it = polling(browser, refresh, (state) => states.push(state));
  const settled = () => new Promise((resolve) => setTimeout(resolve));
  return {
    it,
    states,
    get requests() {
      return requests;
    },
    /** The delays of the timers. */
    get delays() {
      return [...timers.values()].map(({ delay }) => delay);
    },
    async answer(error?: Error) {
      const { resolve, reject } = answers.shift()!;
      if (error) reject(error);
      else resolve();
      await settled();
    },
    async fire() {
      const [[timer, { run }]] = timers;
      timers.delete(timer);
      run();
      await settled();
    },
    setHidden(hidden: boolean) {
      document.hidden = hidden;
      onChange();
    },
  };
}

test("polling() asks once a second, and never twice at the same time", async () => {
  const test = startPolling();
  test.it.now();
  test.it.now();
  test.it.now();
  assertEquals([test.requests, test.delays], [1, []]);
  await test.answer(); // the later calls become one
  assertEquals(test.requests, 2);
  await test.answer();
  assertEquals([test.requests, test.delays], [2, [1000]]);
  await test.fire();
  assertEquals([test.requests, test.delays], [3, []]);
});

test("polling() asks nothing while the page is hidden, and at once when it is shown", async () => {
  const test = startPolling();
  test.it.now();
  await test.answer();
  test.setHidden(true);
  assertEquals(test.delays, []);
  test.setHidden(false);
  assertEquals(test.requests, 2);
  test.setHidden(true);
  await test.answer(); // an answer that arrives later does not go on either
  assertEquals([test.requests, test.delays], [2, []]);
});

test("polling() asks less and less often after errors, and as before after an answer", async () => {
  const test = startPolling();
  test.it.now();
  const delays: number[] = [];
  for (let i = 0; i < 7; i++) {
    await test.answer(new Error("x"));
    delays.push(...test.delays);
    await test.fire();
  }
  assertEquals(delays, [1, 2, 4, 8, 16, 30, 30].map((it) => it * 1000));
  assertEquals(test.states[6].name, "failed");
  await test.answer();
  assertEquals([test.states[7].name, test.delays], ["live", [1000]]);
});

test("polling() stops without a valid token, also when the page is shown again", async () => {
  const test = startPolling();
  test.it.now();
  await test.answer(Object.assign(new Error("no"), { status: 401 }));
  assertEquals([test.states, test.delays], [[{ name: "locked" }], []]);
  test.setHidden(true);
  test.setHidden(false);
  assertEquals(test.requests, 1);
  test.it.now();
  assertEquals(test.requests, 2);
  await test.answer();
  assertEquals(test.delays, [1000]);
});

test("polling() pauses and resumes", async () => {
  const test = startPolling();
  test.it.now();
  test.it.toggle();
  await test.answer();
  assertEquals([test.states.at(-1)?.name, test.delays], ["paused", []]);
  test.setHidden(true);
  test.setHidden(false);
  assertEquals(test.requests, 1);
  test.it.now(); // for example after another filter
  await test.answer();
  assertEquals([test.requests, test.delays], [2, []]);
  test.it.toggle();
  await test.answer();
  assertEquals([test.states.at(-1)?.name, test.delays], ["live", [1000]]);
});
