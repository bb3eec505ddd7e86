/** The console of two workers in Chromium. */

import "./console_program.ts";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { connect } from "../../src/client/mod.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { assertEchoes, LOOPBACK, withEcho } from "../cli/echo.ts";
import { test } from "../support/harness.ts";
import { type Program, withProgram } from "../support/spawn.ts";
import { type ConsolePage, withPage } from "./console_page.ts";
import { missing, withFolder } from "./programs.ts";
import { installed, missingRuntime } from "./runtimes.ts";

const skip = missing("chromium") ?? missingRuntime("node") ??
  missingRuntime("deno");

const TOKEN = "0123456789abcdef0123456789abcdef";
const HOSTILE = "<img src=x onerror=document.title='hacked'>";
const USERS = `alice:pw\nbob:pw\nzoe:pw\n${HOSTILE}:pw`;

/** The rows of a table as the texts of their cells. */
const rowsOf = (table: string) =>
  `[...document.querySelectorAll("#${table} tbody tr")]` +
  `.map((row) => [...row.cells].map((cell) => cell.textContent))`;
const textOf = (id: string) => `document.getElementById("${id}").textContent`;

/** The visible controls that are too small for a finger. */
const SMALL = `[...document.querySelectorAll("button, input")]
  .filter((it) => it.checkVisibility() && it.offsetHeight < 44)
  .map((it) => it.outerHTML)`;

interface World {
  readonly page: ConsolePage;
  readonly program: Program;
  /** The URL of the console, without the token. */
  readonly url: string;
  /** Opens a session of a user. */
  open(user: string): Promise<Conn>;
}

/** A server of two workers with its console, a target that echoes, and a browser. */
async function withConsole(
  use: (world: World) => Promise<void>,
  flags: string[] = [],
): Promise<void> {
  const conns: Conn[] = [];
  await withFolder((folder) =>
    withEcho(async (target) => {
      const file = join(folder, "token");
      await writeFile(file, TOKEN, { mode: 0o600 });
      const args = ["--workers=2", "--port=0", "--admin=0"];
      await withProgram(
        [...args, "--admin-token-file", file, ...flags],
        async (program) => {
          const line = JSON.parse(await program.line(/"listening"/));
          const open = async (username: string) => {
            const { port } = line;
            const proxy = {
              protocol: "socks5" as const,
              hostname: LOOPBACK,
              port,
              username,
              password: "pw",
            };
            const conn = await connect(proxy, {
              hostname: LOOPBACK,
              port: target,
            });
            conns.push(conn);
            await assertEchoes(conn, "hello");
            return conn;
          };
          await withPage((page) =>
            use({ page, program, url: line.admin, open })
          );
          for (const conn of conns) conn.close();
        },
        { users: USERS, mayShare: true },
      );
    })
  );
}

/** Opens the console with the token, and waits for the first data. */
async function visit({ page, url }: World): Promise<void> {
  await page.call("goto", `${url}#token=${TOKEN}`);
  await page.until(`${textOf("state")} === "Serving"`);
}

/** Waits until the table has rows for these users, in this order. */
async function untilUsers(page: ConsolePage, users: string[]): Promise<void> {
  const expected = JSON.stringify(users);
  await page.until(
    `JSON.stringify(${rowsOf("sessions")}.map((it) => it[1])) ===
     ${JSON.stringify(expected)}`,
  );
}

/** Waits until the proxy closes the connection. */
async function untilClosed(conn: Conn): Promise<void> {
  try {
    assertEquals(await conn.read(), null);
  } catch {
    // Reset.
  }
}

/** Fails if the page has an error, or requested anything but the admin port. */
async function assertClean({ page, url }: World): Promise<void> {
  const { requests, errors } = await page.log();
  assertEquals(errors, []);
  assert(requests.length > 2);
  for (const request of requests) {
    const [, target] = request.split(" ");
    assert(target.startsWith(url) || target.startsWith("data:"), request);
  }
}

/** Fails if axe-core finds something that is not accessible. */
async function assertAccessible(page: ConsolePage): Promise<void> {
  const folder = await installed("axe-core@4.14.1");
  const axe = readFileSync(
    join(folder, "node_modules/axe-core/axe.js"),
    "utf8",
  );
  // Evaluated by the debugger, which the policy of the page does not concern.
  await page.evaluate(`{ ${axe}; 0 }`);
  const found = await page.evaluate(
    `axe.run().then(({ violations }) =>
      violations.map((it) => it.id + ": " + it.nodes[0].html))`,
  );
  assertEquals(found, []);
}

/** Takes a screenshot if `$SCREENSHOTS` names a folder. */
async function screenshot(page: ConsolePage, name: string): Promise<void> {
  const folder = process.env.SCREENSHOTS;
  if (!folder) return;
  await page.call("screenshot", { path: join(folder, `${name}.png`) });
}

test(
  "the console shows, sorts and filters the sessions of all workers, and loads nothing else",
  () =>
    withConsole(async (world) => {
      const { page, open } = world;
      await visit(world);
      await page.until(`!document.getElementById("no-sessions").hidden`);
      assertEquals(await page.evaluate("location.href"), world.url);
      const conns = await Promise.all(["bob", HOSTILE, "alice"].map(open));
      await page.call("click", "#sessions th:nth-child(2) button");
      await untilUsers(page, [HOSTILE, "alice", "bob"]);
      const [first] = await page.evaluate<string[][]>(rowsOf("sessions"));
      assertMatch(first[0], /^127\.0\.0\.1:\d+$/);
      assertEquals([first[2], first[4], first[5], first[7]], [
        "connect",
        "5 B",
        "5 B",
        "relay",
      ]);
      assertEquals(await page.evaluate("document.title"), "socks5");
      await page.call("click", "#sessions th:nth-child(2) button");
      await untilUsers(page, ["bob", "alice", HOSTILE]);
      const sorted = `document.querySelector("#sessions [aria-sort]")`;
      assertEquals(
        await page.evaluate(`${sorted}.getAttribute("aria-sort")`),
        "descending",
      );
      await page.call("fill", "#filter", "user:bob");
      await untilUsers(page, ["bob"]);
      await page.call("fill", "#filter", "ALI");
      await untilUsers(page, ["alice"]);
      await page.call("fill", "#filter", "phase:x");
      await page.until(`${textOf("list-trouble")}.startsWith("phase must")`);
      await page.call("fill", "#filter", "");
      await untilUsers(page, ["bob", "alice", HOSTILE]);
      await page.until(`document.querySelector("path.sent").hasAttribute("d")`);
      await page.until(`${textOf("plot")}.includes("kB/s")`);
      await page.until(`${textOf("readout")}.startsWith("Highest")`); // a sample
      for (const conn of conns) await assertEchoes(conn, "x".repeat(50_000));
      await page.until(`/sent [\\d.]+ kB/.test(${textOf("readout")})`);
      await page.until(`${textOf("sent-total")} === "150 kB in all"`);
      await page.until(`${textOf("open")} === "3"`);
      await screenshot(page, "desktop");
      await assertClean(world);
      await assertAccessible(page);
      await page.call("emulateMedia", { colorScheme: "dark" });
      await assertAccessible(page);
      await page.call("setViewportSize", { width: 375, height: 812 });
      await assertAccessible(page);
      assertEquals(await page.evaluate(SMALL), []);
      const overflow = "document.documentElement.scrollWidth - innerWidth";
      assertEquals(await page.evaluate(overflow), 0);
      await screenshot(page, "phone-dark");
    }),
  { skip },
);

test(
  "the console ends one session, and all that match",
  () =>
    withConsole(async (world) => {
      const { page, open } = world;
      const [bob, ...others] = await Promise.all(
        ["bob", "alice", "alice", HOSTILE].map(open),
      );
      await visit(world);
      await page.call("click", "#sessions th:nth-child(2) button");
      await untilUsers(page, [HOSTILE, "alice", "alice", "bob"]);
      await page.call("click", `[aria-label^="End the session of bob"]`);
      await untilClosed(bob);
      await page.until(
        `${textOf("result")}.startsWith("Ended the session of bob")`,
      );
      await untilUsers(page, [HOSTILE, "alice", "alice"]);
      for (const conn of others) await assertEchoes(conn, "still");

      await page.call("fill", "#filter", "user:alice");
      await untilUsers(page, ["alice", "alice"]);
      await page.call("click", "#end-all");
      await page.until(`${textOf("dialog-title")} === "End 2 sessions?"`);
      await assertAccessible(page);
      await page.call("keyboard.press", "Escape");
      await page.until(`!document.getElementById("dialog").open`);
      for (const conn of others) await assertEchoes(conn, "still");
      await page.call("click", "#end-all");
      await page.call("click", "#dialog-yes");
      await page.until(`${textOf("result")} === "Ended 2 sessions"`);
      await Promise.all([untilClosed(others[0]), untilClosed(others[1])]);
      await page.call("fill", "#filter", "");
      await untilUsers(page, [HOSTILE]);
      await assertEchoes(others[2], "still");

      await page.call("click", "#users-tab");
      await page.until(`${rowsOf("users")}.length === 1`);
      await assertAccessible(page);
      await page.call("click", "#users tbody button"); // a filter with quotes
      await untilUsers(page, [HOSTILE]);
      await page.call("click", "#end-all");
      await page.call("click", "#dialog-yes");
      await untilClosed(others[2]);
      await assertClean(world);
    }),
  { skip },
);

test(
  "the console can be used with the keyboard alone",
  () =>
    withConsole(async (world) => {
      const { page, open } = world;
      const press = (key: string) => page.call("keyboard.press", key);
      const focused = (property: string) =>
        `document.activeElement.${property}`;
      /** Moves the focus to an element by the Tab key. */
      const tabTo = async (selector: string) => {
        for (let i = 0; i < 60; i++) {
          await press("Tab");
          if (
            await page.evaluate(focused(`matches(${JSON.stringify(selector)})`))
          ) return;
        }
        throw new Error(`the Tab key does not reach ${selector}`);
      };
      const conns = await Promise.all(["alice", "bob"].map(open));
      await visit(world);
      await page.until(`${rowsOf("sessions")}.length === 2`);
      await tabTo("#sessions-tab");
      await press("ArrowRight");
      await page.until(focused(`id === "users-tab"`));
      await page.until(`${rowsOf("users")}.length === 2`);
      await press("Home");
      await tabTo("#filter");
      await tabTo("#sessions th:nth-child(2) button");
      await press("Enter");
      await untilUsers(page, ["alice", "bob"]);
      await press("Enter");
      await untilUsers(page, ["bob", "alice"]);
      await tabTo("#sessions tbody .end");
      // The row stays under the focus although there is a new first one.
      const label = await page.evaluate<string>(focused("ariaLabel"));
      assert(label.includes("bob"));
      conns.push(await open("zoe"));
      await untilUsers(page, ["bob", "alice", "zoe"]);
      assertEquals(await page.evaluate(focused("ariaLabel")), label);
      await press("Enter");
      await untilClosed(conns[1]);
      // The focus goes on to the next row.
      await page.until(focused(`ariaLabel?.includes("alice")`));
      await assertEchoes(conns[0], "still");
      await page.call("focus", "#end-all");
      await press("Enter");
      await page.until(focused(`id === "dialog-no"`));
      await press("Tab");
      await press("Enter");
      await Promise.all([untilClosed(conns[0]), untilClosed(conns[2])]);
      await page.until(focused(`id === "end-all"`));
      await assertClean(world);
    }),
  { skip },
);

test(
  "the console asks for the token, and polls only while it is visible",
  () =>
    withConsole(async (world) => {
      const { page, url } = world;
      await page.call("goto", `${url}#token=wrong`);
      await page.until(`${textOf("login-error")} === "This token is wrong."`);
      assertEquals(await page.evaluate("location.href"), url);
      assertEquals(
        await page.evaluate(`document.getElementById("content").hidden`),
        true,
      );
      await assertAccessible(page);
      await screenshot(page, "token");
      const { length } = (await page.log()).requests;
      await page.call("fill", "#token", TOKEN);
      await page.call("keyboard.press", "Enter");
      await page.until(`${textOf("state")} === "Serving"`);
      const [target] = (await page.log()).requests[length].split("?");
      assertEquals(target, `GET ${url}batch`);
      await page.call("reload"); // the tab keeps the token
      await page.until(`${textOf("state")} === "Serving"`);

      const count = async () => (await page.log()).requests.length;
      const setHidden = (isHidden: boolean) =>
        page.evaluate(`{
          Object.defineProperty(document, "hidden",
            { value: ${isHidden}, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }`);
      /** Whether requests follow within some intervals. */
      const polls = async () => {
        const before = await count();
        await page.call("waitForTimeout", 2_500);
        return await count() > before;
      };
      await setHidden(true);
      await page.call("waitForLoadState", "networkidle");
      assertEquals(await polls(), false);
      await setHidden(false);
      assertEquals(await polls(), true);
      await page.call("click", "#pause");
      await page.until(`${textOf("state")} === "Paused"`);
      await page.call("waitForLoadState", "networkidle");
      assertEquals(await polls(), false);
      await page.call("click", "#pause");
      await page.until(`${textOf("state")} === "Serving"`);
    }),
  { skip },
);

test(
  "the console unlocks clients, reloads, drains, and says that the server is gone",
  () =>
    withConsole(async (world) => {
      const { page, program, open } = world;
      const conn = await open("alice");
      await visit(world);
      for (let i = 0; i < 3; i++) {
        await open("nobody").then(
          () => assert(false, "a wrong login was accepted"),
          () => {},
        );
      }
      await page.call("click", "#lockouts-tab");
      await page.until(`${rowsOf("lockouts")}.length === 1`);
      const [row] = await page.evaluate<string[][]>(rowsOf("lockouts"));
      assertEquals(row.slice(0, 2), [LOOPBACK, "3"]);
      await page.call("click", "#lockouts tbody .end");
      await page.until(`${textOf("result")} === "Unlocked 127.0.0.1"`);
      await open("bob");
      await page.call("click", "#reload");
      await page.until(`${textOf("result")}.startsWith("Reloaded")`);
      await page.call("click", "#drain");
      await page.call("click", "#dialog-yes");
      await page.until(`${textOf("result")}.startsWith("Draining")`);
      await page.until(`${textOf("state")} === "Draining"`);
      await assertEchoes(conn, "still");
      await page.call("click", "#sessions-tab");
      await page.until(`${rowsOf("sessions")}.length === 2`);
      program.kill("SIGKILL");
      await page.until(`!document.getElementById("trouble").hidden`);
      assertMatch(
        await page.evaluate(textOf("trouble-text")),
        /^No data: the server does not answer\. Next attempt in \d+ s\.$/,
      );
    }, ["--failed-logins=3"]),
  { skip },
);
