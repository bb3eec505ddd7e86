/** The log in a terminal. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { stripVTControlCharacters } from "node:util";
import { test } from "../support/harness.ts";
import { LOOPBACK, visit, withEcho } from "./echo.ts";
import { flood } from "../support/flood.ts";
import {
  noTerminal,
  openTerminal,
  type Terminal,
} from "../support/terminal.ts";

const KEY = { interrupt: "\x03", stop: "\x13", start: "\x11" } as const;

/** Runs the server in a terminal, and ends it by Ctrl-C. */
async function withServer(
  env: Record<string, string | undefined>,
  use: (terminal: Terminal, port: number) => Promise<void>,
): Promise<void> {
  const terminal = openTerminal((program) => `exec ${program} --port 0`, {
    env,
  });
  try {
    const line = await terminal.line(/ listens on /);
    await use(terminal, Number(/ listens on \S+:(\d+) /.exec(line)![1]));
  } finally {
    terminal.type(KEY.interrupt);
    assertEquals(await terminal.ended, 0, terminal.shown);
  }
}

/** Returns the lines of a visit to a target, and of one to a port where nothing listens. */
async function linesOfVisits(
  env: Record<string, string | undefined>,
): Promise<string[]> {
  let lines: string[] = [];
  await withEcho((target) =>
    withServer(env, async (terminal, port) => {
      const proxy = `socks5://${LOOPBACK}:${port}`;
      await visit(proxy, target);
      const good = await terminal.line(/finished/);
      await visit(proxy, 1).catch(() => {});
      lines = [good, await terminal.line(/refused/)];
    })
  );
  return lines;
}

test(
  "socks5 prints aligned and coloured text in a terminal",
  async () => {
    const lines = await linesOfVisits({ NO_COLOR: undefined, TERM: "xterm" });
    const outcomes = ["\x1b[32mfinished\x1b[0m", "\x1b[33mrefused\x1b[0m"];
    for (const [i, outcome] of outcomes.entries()) {
      const [time, shown] = lines[i].split(" ");
      assertEquals(shown, outcome, lines[i]);
      assert(time.startsWith("\x1b[2m") && time.endsWith("\x1b[0m"));
      assertMatch(stripVTControlCharacters(time), /^\d\d:\d\d:\d\d$/);
    }
    const plain = lines.map((it) => stripVTControlCharacters(it));
    for (const part of [/127\.0/, / - /, / 127\.0/, / \d+\/\d+ /]) {
      const [a, b] = plain.map((it) => it.search(part));
      assert(a > 0 && a === b, `${part}\n${plain.join("\n")}`);
    }
  },
  { skip: noTerminal },
);

test(
  "socks5 prints no colours in a terminal when NO_COLOR is set",
  async () => {
    for (const line of await linesOfVisits({ NO_COLOR: "1", TERM: "xterm" })) {
      assertEquals(line, stripVTControlCharacters(line));
    }
  },
  { skip: noTerminal },
);

test(
  "socks5 continues while its terminal is stopped, and logs the number of dropped lines",
  async () => {
    await withEcho((target) =>
      withServer({ NO_COLOR: "1" }, async (terminal, port) => {
        terminal.type(KEY.stop);
        await flood(port);
        await visit(`socks5://${LOOPBACK}:${port}`, target);
        terminal.type(KEY.start);
        await terminal.line(/ lines dropped here/);
      })
    );
  },
  { skip: noTerminal },
);
