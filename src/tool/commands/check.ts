/**
 * `socks5 check`: finds out what a proxy really does.
 *
 * @module
 */

import { EXIT } from "../../cli/failure.ts";
import type { Host } from "../../cli/host/host.ts";
import { hint } from "../../cli/config/hint.ts";
import { showValue } from "../../cli/output/escape.ts";
import { UsageError } from "../../cli/usage_error.ts";
import { hopAddress } from "../../client/hops.ts";
import type { Command } from "../args/command.ts";
import { PROXY_FLAGS } from "../args/flags.ts";
import type { Arguments } from "../args/parse.ts";
import { readProxies } from "../args/proxies.ts";
import { readTarget } from "../args/target.ts";
import { checkProxy } from "../check/check.ts";
import { type CheckName, type CheckReport, CHECKS } from "../check/report.ts";
import { openDialer } from "./dialer.ts";
import { formatResult, formatVerdict, titleOf } from "./check_table.ts";

const NAMES = CHECKS.map(({ name }) => name);

/** The description of the command. */
export const CHECK: Command = {
  name: "check",
  usage: "[FLAGS] URL...",
  summary:
    "Finds out what a proxy really does: protocols, logins and commands, each with\n" +
    "the time that it takes. Of several proxies in a row the last one is checked",
  text: `\
The targets are listeners of this command, at 127.0.0.1 and ::1 if the proxy is
on loopback, else at the address of this machine towards the proxy, which has to
reach it there; or --target. Nothing else is contacted. If the URL has a login,
the proxy also gets one wrong password.

Exit codes: 0 CONNECT works with the login, and so does everything that is named
by --require; 1 it does not; 2 invalid arguments.

Names for --require, as in the JSON:
  ${wrapped(NAMES)}`,
  flags: [
    {
      name: "target",
      value: "HOST:PORT",
      text: "Connect to this target in place of own listeners",
    },
    {
      name: "require",
      value: "NAME,...",
      text: "Fail unless these checks succeed",
      isRepeatable: true,
    },
    { name: "json", text: "Print the report as JSON" },
    ...PROXY_FLAGS.map((it) =>
      it.name === "timeout"
        ? {
          ...it,
          text: "How long to wait for an answer to each question (default 5s)",
        }
        : it
    ),
  ],
  examples: [
    "socks5 check socks5h://127.0.0.1:1080",
    "socks5 check --proxy-file proxy.txt --require udp,login-required --json",
  ],
};

function wrapped(names: readonly string[]): string {
  let line = "";
  const lines: string[] = [];
  for (const name of names) {
    if (line.length + name.length > 70) {
      lines.push(line);
      line = "";
    }
    line += line === "" ? name : ` ${name}`;
  }
  return [...lines, line].join("\n  ");
}

/** The default of `--timeout`, in milliseconds. */
const TIMEOUT = 5_000;

/** Runs the command, and returns the exit code. */
export async function checkCommand(
  host: Host,
  args: Arguments,
): Promise<number> {
  if (args.words.length + args.rest.length > 0) {
    throw new UsageError(
      "check takes only proxies' URLs, which begin with a scheme such as socks5h://",
    );
  }
  const required = readRequired(args.values("require"));
  const given = args.value("target");
  const target = given === undefined
    ? undefined
    : readTarget([given], "--target");
  const proxies = await readProxies(args, TIMEOUT);
  openDialer(proxies); // refuses what does not fit
  const { hops, timeout, tls, auth } = proxies;
  if (timeout === 0) throw new UsageError("--timeout must be more than 0");
  const isJson = args.has("json");
  const isTerminal = await host.hasTerminal();
  const screen = new Screen(host, isTerminal, isTerminal && host.wantsColors);
  if (!isJson) {
    const names = hops.map((it) => `${it.protocol}://${hopAddress(it)}`);
    screen.print(`${names.join(" ")}\n\n`);
  }
  const report = await checkProxy(hops, {
    timeout,
    target,
    tls,
    auth,
    onStart: (name) => screen.showStatus(titleOf(name)),
    onResult: (result) => {
      if (!isJson) screen.print(formatResult(result, screen.hasColors));
    },
  });
  if (isJson) screen.print(`${JSON.stringify(report, null, 2)}\n`);
  else screen.print(formatVerdict(report, screen.hasColors));
  const lacking = lackingOf(report, required);
  if (lacking.length > 0 && !isJson) {
    screen.print(`\nRequired, but not there: ${lacking.join(", ")}\n`);
  }
  await screen.flush();
  return report.ok && lacking.length === 0 ? EXIT.ok : EXIT.failed;
}

function readRequired(values: readonly string[]): readonly CheckName[] {
  const names = values.flatMap((it) => it.split(",")).map((it) => it.trim());
  return names.map((name) => {
    const found = NAMES.find((it) => it === name);
    if (found !== undefined) return found;
    throw new UsageError(
      `--require: there is no check ${showValue(name)}${hint(name, NAMES)}`,
    );
  });
}

function lackingOf(
  { results }: CheckReport,
  required: readonly CheckName[],
): readonly CheckName[] {
  const done = results.filter(({ outcome }) => outcome === "yes")
    .map(({ name }) => name);
  return required.filter((it) => !done.includes(it));
}

/** Erases the line. */
const ERASE = "\r\x1b[K";

/** The standard output: lines, and on a terminal what is going on below them. */
class Screen {
  readonly hasColors: boolean;
  readonly #host: Host;
  readonly #isTerminal: boolean;
  #hasStatus = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(host: Host, isTerminal: boolean, hasColors: boolean) {
    this.#host = host;
    this.#isTerminal = isTerminal;
    this.hasColors = hasColors;
  }

  print(text: string): void {
    this.#write(this.#hasStatus ? ERASE + text : text);
    this.#hasStatus = false;
  }

  showStatus(text: string): void {
    if (!this.#isTerminal) return;
    this.#write(`${ERASE}  ${text} ...`);
    this.#hasStatus = true;
  }

  #write(text: string): void {
    this.#writing = this.#writing.then(() => this.#host.write(text));
  }

  flush(): Promise<void> {
    return this.#writing;
  }
}
