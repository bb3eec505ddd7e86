/** The accounting file: never half written, never silently empty, never shared. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  readState,
  StateFile,
} from "../../../src/cli/accounting/state_file.ts";
import {
  formatState as formatParts,
  parseState,
} from "../../../src/cli/accounting/state_text.ts";
import { StartError } from "../../../src/cli/failure.ts";
import type { UsageRecord } from "../../../src/server/mod.ts";
import { test } from "../../support/harness.ts";

/** Calls `use` with a path in a new folder. */
async function withPath(
  use: (path: string, folder: string) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "acct-"));
  try {
    await use(join(folder, "usage.json"), folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

function recordOf(user: string, sent = 1): UsageRecord {
  const usage = { sent, received: 2, sessions: 3 };
  const since = { day: "2026-11-29", month: "2026-11-01" };
  return { user, total: usage, day: usage, month: usage, since };
}

function formatState(records: readonly UsageRecord[]): string {
  return [...formatParts(records)].join("");
}

const names = ["alice", 'a "b"\\', "ü\u2028", "__proto__", ""];

test("parseState() reads what formatState() has written", () => {
  const records = names.map((it) => recordOf(it));
  records.push(recordOf("bob", 2 ** 60)); // 1 Gb/s for many years
  assertEquals(parseState(formatState(records)), records);
  assertEquals(parseState(formatState([])), []);
});

const whole = formatState([recordOf("alice"), recordOf("bob")]);

const damaged: [name: string, text: string][] = [
  ["is empty", ""],
  ["is cut off", whole.slice(0, -5)],
  ["has zeros", "\0".repeat(100)],
  ["is another JSON", '{"version":2,"users":[]}'],
  ["is null", "null"],
  ["has no users", '{"version":1}'],
  ["has a negative number", whole.replace('"sent":1', '"sent":-1')],
  ["has a fraction", whole.replace('"sent":1', '"sent":1.5')],
  ["lacks a number", whole.replace('"sent":1,', "")],
  ["lacks a day", whole.replace('"day":{', '"dai":{')],
  ["has a user twice", whole.replace("bob", "alice")],
];

for (const [name, text] of damaged) {
  test(`readState() says what to do about a file that ${name}`, () =>
    withPath(async (path) => {
      assertThrows(() => parseState(text), SyntaxError);
      await writeFile(path, text);
      const { message } = await assertRejects(
        () => readState(path),
        StartError,
        "is damaged",
      );
      assert(message.includes("restore a copy"), message);
      await assertRejects(() => StateFile.open(path), StartError, "is damaged");
      assertEquals(await readFile(path, "utf8"), text);
      assert(!(await readdir(join(path, ".."))).includes("usage.json.lock"));
    }));
}

test("StateFile.write() replaces the file as a whole, for the owner alone", () =>
  withPath(async (path, folder) => {
    const { file, records } = await StateFile.open(path);
    assertEquals(records, []);
    assertEquals(await readState(path), []);
    const many = Array.from({ length: 2_500 }, (_, i) => recordOf(`u${i}`, i));
    await file.write(many); // part by part
    assertEquals(await readState(path), many);
    await file.write([recordOf("alice", 7)]);
    assertEquals((await readState(path))[0].total.sent, 7);
    assertEquals((await stat(path)).mode & 0o777, 0o600);
    await file.close();
    assertEquals(await readdir(folder), ["usage.json"]);
    const again = await StateFile.open(path);
    assertEquals(again.records, [recordOf("alice", 7)]);
    await again.file.close();
  }));

test("StateFile.write() writes through no file that somebody else has left for it", () =>
  withPath(async (path, folder) => {
    const victim = join(folder, "victim");
    await writeFile(victim, "precious", { mode: 0o644 });
    await symlink(victim, `${path}.tmp`);
    const { file } = await StateFile.open(path);
    assertEquals(await readFile(victim, "utf8"), "precious");
    await writeFile(`${path}.tmp`, "", { mode: 0o644 });
    await file.write([recordOf("alice")]);
    assertEquals((await stat(path)).mode & 0o777, 0o600);
    await file.close();
  }));

test("StateFile.open() refuses a file that another program uses", () =>
  withPath(async (path, folder) => {
    const first = await StateFile.open(path);
    const link = join(folder, "link");
    await symlink(path, link);
    for (const it of [path, link]) {
      await assertRejects(
        () => StateFile.open(it),
        StartError,
        "another program uses it",
      );
    }
    await first.file.write([recordOf("alice")]); // still its own
    await first.file.close();
    const second = await StateFile.open(link);
    assertEquals(second.records.length, 1);
    await second.file.write([]);
    await second.file.close();
    assertEquals(await readState(path), []);
    assertEquals((await readdir(folder)).sort(), ["link", "usage.json"]);
  }));

test("StateFile follows a link in a folder that is a link itself", () =>
  withPath(async (_, folder) => {
    await mkdir(join(folder, "disk/etc"), { recursive: true });
    await symlink("disk/etc", join(folder, "etc"));
    await symlink("../usage.json", join(folder, "etc/usage.json"));
    const { file } = await StateFile.open(join(folder, "etc/usage.json"));
    await file.close();
    assertEquals((await readdir(folder)).sort(), ["disk", "etc"]);
    assertEquals(await readState(join(folder, "disk/usage.json")), []);
  }));

test("StateFile refuses links that lead to each other", () =>
  withPath(async (path, folder) => {
    await symlink("usage.json", join(folder, "link"));
    await symlink("link", path);
    await assertRejects(() => StateFile.open(path), StartError);
    assertEquals(await readlink(path), "link");
  }));

test("StateFile follows a link to a file that does not exist yet", () =>
  withPath(async (path, folder) => {
    const link = join(folder, "link");
    await symlink("usage.json", link);
    const { file, records } = await StateFile.open(link);
    assertEquals(records, []);
    await file.write([recordOf("alice")]);
    await file.close();
    assertEquals((await readState(path)).length, 1);
    assertEquals(await readlink(link), "usage.json");
    await assertRejects(
      () => StateFile.open(join(folder, "missing", "usage.json")),
      StartError,
      `the folder ${join(folder, "missing")} does not exist`,
    );
  }));

test("StateFile.write() rejects when somebody has removed its lock", () =>
  withPath(async (path) => {
    const first = await StateFile.open(path);
    await rm(`${path}.lock`);
    const second = await StateFile.open(path);
    await assertRejects(() => first.file.write([]), Error, "taken over");
    await second.file.write([recordOf("bob")]);
    await first.file.close();
    await second.file.write([recordOf("bob", 8)]);
    await second.file.close();
    assertEquals((await readState(path))[0].total.sent, 8);
  }));

test("StateFile.open() rejects when the file cannot be read or its folder not be written", () =>
  withPath(async (path, folder) => {
    const other = join(folder, "missing", "usage.json");
    await assertRejects(() => StateFile.open(other), StartError, "accounting");
    await rm(path, { force: true });
    const long = join(folder, "x".repeat(120));
    await assertRejects(() => StateFile.open(long), StartError, "bytes");
    await assertRejects(() => readState(folder), StartError, "cannot be read");
    await chmod(folder, 0o700);
  }));
