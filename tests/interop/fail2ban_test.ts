/** The filter of `--fail2ban`, read by the real fail2ban, on the real log of the program. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { once } from "node:events";
import { cp, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import type * as net from "node:net";
import { join } from "node:path";
import { test } from "../support/harness.ts";
import { connectFrom, hungUp } from "../support/raw.ts";
import { octets } from "../support/table.ts";
import { runProgram, withProgram } from "../support/spawn.ts";
import { missing, run, withFolder } from "./programs.ts";

/** The addresses of clients whose logins fail, and of others. */
const FAILING = "127.0.0.3";
const OTHERS = "127.0.0.4";

/** Names that would ban 10.0.0.1 if they could look like a line of the log. */
const NAMES = [
  "mallory",
  "from 10.0.0.1",
  "login-failed 10.0.0.1:5 a - ",
  "10.0.0.1:5",
  "x y: login-failed 10.0.0.1:5 a - ",
  "x y[1]: 2026-11-03T10:22:31Z login-failed 10.0.0.1:5 a - ",
  "a\n2026-11-03T10:22:31Z login-failed 10.0.0.1:5 a - 0/0 1s\n",
  "a\r\n2026-11-03T10:22:31Z login-failed 10.0.0.1:5 a - 0/0 1s",
  "a\u20282026-11-03T10:22:31Z login-failed 10.0.0.1:5 a - 0/0 1s",
  '","type":"session-end","reason":"login-failed","client":{"hostname":"10.0.0.1","port":5},',
  '{"time":"2026-11-03T10:22:31.123Z","type":"session-end","reason":"login-failed","client":{"hostname":"10.0.0.1","port":5},"id":7',
  '\n{"time":"2026-11-03T10:22:31.123Z","type":"session-end","reason":"login-failed","client":{"hostname":"10.0.0.1","port":5},"id":7}\n',
  'x y: {"time":"2026-11-03T10:22:31.123Z","type":"session-end","reason":"login-failed","client":{"hostname":"10.0.0.1","port":5},',
  "Nov  3 10:22:31 h s[1]: login-failed 10.0.0.1:5 a - ",
  "\\\"'%s<HOST>",
  "\x1b[2J\x00",
];

const encode = (text: string) => new TextEncoder().encode(text);

/** A text after its length, in an octet. */
function withLength(text: string): number[] {
  const bytes = encode(text);
  return [bytes.length, ...bytes];
}

async function answer(socket: net.Socket, message: Uint8Array) {
  const answered = once(socket, "data");
  socket.write(message);
  return (await answered)[0] as Uint8Array;
}

/** Logs in from an address, and requests a target by name if it is given. */
async function logIn(
  from: string,
  port: number,
  user: string,
  target?: string,
): Promise<void> {
  const socket = await connectFrom(from, { hostname: "127.0.0.1", port });
  await answer(socket, octets("05 01 02"));
  const login = [1, ...withLength(user), ...withLength("one")];
  const [, status] = await answer(socket, Uint8Array.from(login));
  assertEquals(status === 0, target !== undefined);
  if (target !== undefined) {
    const request = [5, 1, 0, 3, ...withLength(target), 0, 1];
    await answer(socket, Uint8Array.from(request));
  }
  await hungUp(socket);
}

/** Sends bytes that are no SOCKS5 login, and waits until the server closes. */
async function disturb(port: number, message: Uint8Array): Promise<void> {
  const socket = await connectFrom(OTHERS, { hostname: "127.0.0.1", port });
  socket.write(message);
  await hungUp(socket);
}

/** Returns the log of a server with a failed login for each name, and sessions of others. */
async function logOf(format: string): Promise<string[]> {
  const args = ["--port=0", "--user=alice:one", "--failed-logins=3"];
  // Names cannot be resolved, and no client reaches a target.
  args.push("--deny=*", "--log-start", "--log", format);
  let lines: string[] = [];
  await withProgram(args, async (program) => {
    const port = await program.port();
    for (const name of NAMES) {
      await logIn(FAILING, port, name);
      await logIn(OTHERS, port, "alice", name);
      const userId = [4, 1, 0, 80, 127, 0, 0, 1, ...encode(name)];
      await disturb(port, Uint8Array.from([...userId.filter(Boolean), 0]));
      await disturb(port, encode(`${name}\r\n\r\n`));
    }
    await program.lines(
      /login-failed 127|"reason":"login-failed"/,
      NAMES.length,
    );
    program.kill("SIGTERM");
    const { stdout } = await program.ended;
    lines = stdout.trimEnd().split("\n");
  });
  return lines;
}

/** Returns the addresses that fail2ban finds. */
async function findFailures(
  folder: string,
  lines: readonly string[],
): Promise<string[]> {
  const { stdout: filter } = await runProgram(["--fail2ban"]);
  const [log, conf] = [join(folder, "log"), join(folder, "socks5.conf")];
  await writeFile(conf, filter);
  await writeFile(log, `${lines.join("\n")}\n`);
  const args = ["-o", "<ip> <time>", log, conf];
  const { stdout, stderr } = await run("fail2ban-regex", args);
  assertEquals(stderr, "");
  const found = stdout.trimEnd().split("\n").map((it) => it.split(" "));
  // The time of the line, not that of the filter: the log is a few seconds old.
  for (const [ip, time] of found) {
    assert(
      Math.abs(Date.now() / 1000 - Number(time)) < 86_400,
      `${ip} ${time}`,
    );
  }
  return found.map(([ip]) => ip);
}

const sources: [name: string, before: string][] = [
  ["a file", ""],
  ["syslog", "Nov 29 10:22:31 my-host.example socks5[123]: "],
];

for (const format of ["text", "json"]) {
  for (const [name, before] of sources) {
    test(
      `--fail2ban finds each failed login as ${format} in ${name}, and nothing that a client forges`,
      () =>
        withFolder(async (folder) => {
          const lines = await logOf(format);
          const shown = before.replace("Nov 29", syslogDate(new Date()));
          const found = await findFailures(
            folder,
            lines.map((it) => `${shown}${it}`),
          );
          assertEquals(found, NAMES.map(() => FAILING));
        }),
      { skip: missing("fail2ban-regex") },
    );
  }
}

function syslogDate(date: Date): string {
  const [, month, day] = date.toDateString().split(" ");
  return `${month} ${day}`;
}

test(
  "--fail2ban finds IPv6 clients, and workers",
  () =>
    withFolder(async (folder) => {
      const time = new Date().toISOString();
      const rest = '"id":7,"version":5,"user":"a","worker":2}';
      const found = await findFailures(folder, [
        `${time.replace(/\.\d+/, "")} login-failed [2001:db8::9]:5 a - 0/0 2s`,
        `{"time":"${time}","type":"session-end","reason":"login-failed",` +
        `"client":{"hostname":"2001:db8::a","port":5},${rest}`,
      ]);
      assertEquals(found, ["2001:db8::9", "2001:db8::a"]);
    }),
  { skip: missing("fail2ban-regex") },
);

/** Copies the configuration of fail2ban, without the jails of the system. */
async function copyConfiguration(folder: string): Promise<void> {
  for (const name of await readdir("/etc/fail2ban")) {
    if (name === "jail.d") continue;
    await cp(join("/etc/fail2ban", name), join(folder, name), {
      recursive: true,
    });
  }
  await mkdir(join(folder, "jail.d"));
}

test(
  "--fail2ban has a jail in its comments that fail2ban accepts",
  () =>
    withFolder(async (folder) => {
      const { stdout: filter } = await runProgram(["--fail2ban"]);
      const [, place] = /\/etc\/fail2ban\/(filter\.d\/\S+)/.exec(filter)!;
      const [, jailPlace, jail] =
        /\/etc\/fail2ban\/(jail\.d\/\S+):\n((?:# {3}.*\n)+)/.exec(filter)!;
      const log = join(folder, "socks5.log");
      await writeFile(log, "");
      await copyConfiguration(folder);
      const lines = jail.replaceAll(/^# +/gm, "")
        .replace(/^logpath = .*/m, `logpath = ${log}`);
      await writeFile(join(folder, jailPlace), lines);
      const path = join(folder, place);
      await writeFile(path, filter);
      const args = ["-c", folder, "--test"];
      const accepted = await run("fail2ban-client", args);
      assertMatch(accepted.stdout, /^OK: configuration test is successful/m);
      // Without the filter it is refused.
      await rm(path);
      const { code } = await run("fail2ban-client", args);
      assert(code !== 0);
    }),
  { skip: missing("fail2ban-client") },
);
