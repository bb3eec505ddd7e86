/**
 * Verification of logins by a program.
 *
 * @module
 */

import { checkKeys } from "../../transport/check_keys.ts";
import { type Clock, systemClock } from "../../transport/clock.ts";
import { NetError } from "../../transport/errors.ts";
import type { Timeout } from "../../transport/timeouts.ts";
import { RecentLogins } from "./recent_logins.ts";
import { HelperProcess } from "./helper_process.ts";
import type { Credentials, Verifier, VerifyContext } from "./verifier.ts";
import { WorkQueue } from "./work_queue.ts";

/** Options of {@linkcode CommandVerifier}. */
export interface CommandVerifierOptions {
  /**
   * The maximum number of processes, each of which verifies one login at a time. They are
   * started when they are needed, and ended when they have had no login for a minute.
   *
   * @default {5}
   */
  readonly processes?: number;
  /**
   * Milliseconds until an answer, at least 1. A process that takes longer is killed.
   *
   * @default {10_000}
   */
  readonly timeout?: number;
  /**
   * For how many milliseconds a correct login is remembered, so that the program is not
   * asked again. A password that was changed is valid for that long; 0 = not at all.
   *
   * @default {60_000}
   */
  readonly remember?: number;
  /**
   * The environment of the program; it gets nothing of the one of this process, which may
   * contain secrets. By default only `PATH`.
   */
  readonly env?: Readonly<Record<string, string>>;
  /** The clock for all times. By default that of the runtime. */
  readonly clock?: Clock;
}

const KEYS = ["processes", "timeout", "remember", "env", "clock"];
const ENV = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
};

/** The maximum number of logins that wait for a process, in all and of a client. */
const MAX_WAITING = 1_000;
const MAX_PER_CLIENT = 32;
/** How long a process waits for a login before it is ended. */
const MAX_IDLE = 60_000;
/** The pause after the program has failed, which doubles up to the maximum. */
const FIRST_PAUSE = 250;
const MAX_PAUSE = 30_000;

/**
 * Verifies logins by a program that speaks the protocol of Squid's helpers for basic
 * authentication. With the helpers of Debian's package `squid` that is PAM, LDAP, RADIUS,
 * SQL, SASL and the files of Apache's `htpasswd`.
 *
 * The program reads a line for each login, the name and the password, separated by a space
 * and percent-encoded, and answers with a line that begins with `OK` or `ERR`. `BH` ("broken
 * helper") counts as a failed login, too: `basic_ldap_auth` answers so to wrong passwords.
 * With any other answer, none in time, or if the program ends, the login could not be
 * verified: the client is refused, and the login does not count as a failed one.
 * Logins with control characters, an empty name or an empty password fail without a
 * question.
 *
 * The program runs as a separate process, through `node:child_process` on all runtimes. Deno
 * needs `--allow-run=PROGRAM` and `--allow-env=NODE_V8_COVERAGE`, which that module reads.
 *
 * @example
 * ```ts
 * import { connect } from "@x/socks5/client";
 * import { CommandVerifier, serve, userPass } from "@x/socks5/server";
 *
 * // For example ["/usr/lib/squid/basic_ncsa_auth", "/etc/socks5/htpasswd"]
 * const script = 'while read name password; do [ "$password" = pw ] && echo OK || echo ERR; done';
 * await using verifier = new CommandVerifier(["/bin/sh", "-c", script]);
 * await using server = await serve({ port: 0, auth: [userPass(verifier)] });
 *
 * const proxy = `socks5://alice:pw@127.0.0.1:${server.addr.port}`;
 * await using conn = await connect(proxy, server.addr);
 * ```
 */
export class CommandVerifier implements Verifier, AsyncDisposable {
  readonly #command: readonly string[];
  readonly #timeout: number;
  readonly #env: Readonly<Record<string, string>>;
  readonly #clock: Clock;
  readonly #queue: WorkQueue;
  readonly #recent: RecentLogins;
  /** Processes without a question, the one that has waited longest first. */
  readonly #idle: { helper: HelperProcess; timer: Timeout }[] = [];
  readonly #all = new Set<HelperProcess>();
  #isClosed = false;
  #pause = 0;
  /** The time until which no process is started. */
  #restsUntil = 0;

  /**
   * Takes the program and its arguments; no shell reads them. Nothing is started yet.
   *
   * @throws {TypeError} if there is no program, or a number is not valid.
   */
  constructor(
    command: readonly string[],
    options: CommandVerifierOptions = {},
  ) {
    checkKeys(options, KEYS, "the options of CommandVerifier");
    const { processes = 5, timeout = 10_000, remember = 60_000 } = options;
    const { env = ENV, clock = systemClock } = options;
    checkCommand(command);
    checkWhole("processes", processes, 1);
    checkWhole("timeout", timeout, 1);
    checkWhole("remember", remember, 0);
    this.#command = [...command];
    this.#timeout = timeout;
    this.#env = { ...env };
    this.#clock = clock;
    this.#recent = new RecentLogins(remember, clock);
    this.#queue = new WorkQueue({
      atOnce: processes,
      waiting: MAX_WAITING,
      perClient: MAX_PER_CLIENT,
    });
  }

  /**
   * Starts the first process, to find out whether the program can be started.
   *
   * @throws the error of the runtime if it cannot.
   */
  async start(): Promise<void> {
    this.#release(await this.#takeProcess());
  }

  /** See {@linkcode Verifier.verify}. Rejects if the program fails. */
  async verify(
    credentials: Credentials,
    context: Pick<VerifyContext, "client" | "isWanted">,
  ): Promise<boolean | undefined> {
    const { username, password } = credentials;
    if (![username, password].every(isWord)) return false;
    if (await this.#recent.has(credentials)) return true;
    const ask = async () => {
      if (!context.isWanted()) return undefined;
      return await this.#ask(
        `${percentEncode(username)} ${percentEncode(password)}`,
      );
    };
    const isRight = await this.#queue.run(context.client.hostname, ask);
    if (isRight) await this.#recent.add(credentials);
    return isRight;
  }

  /**
   * Ends all processes, and resolves when they have ended. Logins that are being verified
   * are not verified then. Idempotent.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { timer } of this.#idle) timer.cancel();
    for (const it of this.#all) it.kill();
    await Promise.all([...this.#all].map((it) => it.exited));
  }

  /** As {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #ask(line: string): Promise<boolean | undefined> {
    const helper = await this.#takeProcess();
    const timer = this.#clock.startTimeout(
      this.#timeout,
      () => helper.kill(late(this.#timeout)),
    );
    try {
      const isRight = readAnswer(await helper.ask(line));
      this.#pause = 0;
      this.#release(helper);
      return isRight;
    } catch (error) {
      this.#rest();
      throw error;
    } finally {
      timer.cancel();
    }
  }

  async #takeProcess(): Promise<HelperProcess> {
    while (this.#idle.length > 0) {
      const { helper, timer } = this.#idle.pop()!;
      timer.cancel();
      if (helper.isRunning) return helper;
      this.#all.delete(helper);
    }
    if (this.#isClosed) throw new NetError("closed", "the verifier is closed");
    if (this.#clock.now() < this.#restsUntil) {
      throw new NetError(
        "ended",
        "the program has failed, and is not started again yet",
      );
    }
    return await this.#startProcess();
  }

  async #startProcess(): Promise<HelperProcess> {
    let helper: HelperProcess;
    try {
      helper = await HelperProcess.start(this.#command, this.#env);
    } catch (error) {
      this.#rest();
      throw error;
    }
    this.#all.add(helper);
    if (this.#isClosed) helper.kill();
    return helper;
  }

  /** Keeps a process for the next login, for a while. */
  #release(helper: HelperProcess): void {
    if (this.#isClosed) return;
    const timer = this.#clock.startTimeout(MAX_IDLE, () => {
      this.#idle.splice(this.#idle.indexOf(entry), 1);
      this.#all.delete(helper);
      helper.kill();
    });
    const entry = { helper, timer };
    this.#idle.push(entry);
  }

  /** Starts no process for a while: a program that fails at once would be started endlessly. */
  #rest(): void {
    for (const it of this.#all) if (!it.isRunning) this.#all.delete(it);
    this.#pause = Math.min(Math.max(FIRST_PAUSE, this.#pause * 2), MAX_PAUSE);
    this.#restsUntil = this.#clock.now() + this.#pause;
  }
}

function checkCommand(command: readonly string[]): void {
  const isValid = Array.isArray(command) && command.length > 0 &&
    command.every((it) => typeof it === "string") && command[0] !== "";
  if (isValid) return;
  throw new TypeError(
    'the command must be a list of the program and its arguments, such as ["/usr/bin/true"]',
  );
}

function checkWhole(name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new TypeError(`${name} must be a whole number, ${least} or more`);
}

function late(timeout: number): NetError {
  return new NetError(
    "timeout",
    `the program has not answered within ${timeout} ms`,
  );
}

/** `OK` and `ERR` may have key-value pairs after them, which have no meaning here. */
function readAnswer(answer: string): boolean | undefined {
  const [result] = answer.trimEnd().split(" ", 1);
  if (result === "OK") return true;
  return result === "ERR" || result === "BH" ? false : undefined;
}

/**
 * Without a name, helpers would take the password for it; Squid asks them about no empty
 * password either, with which LDAP knows everyone. No login has control characters, and
 * helpers in C end at the first NUL.
 */
function isWord(text: Uint8Array): boolean {
  return text.length > 0 && text.every((it) => it >= 0x20 && it !== 0x7f);
}

/** Squid encodes fewer characters; its helpers decode any. */
function percentEncode(text: Uint8Array): string {
  let encoded = "";
  for (const byte of text) {
    const character = String.fromCharCode(byte);
    encoded += /[\w.~-]/.test(character)
      ? character
      : `%${byte.toString(16).padStart(2, "0").toUpperCase()}`;
  }
  return encoded;
}
