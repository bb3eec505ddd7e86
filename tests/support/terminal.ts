/**
 * Runs the program in a terminal.
 *
 * @module
 */

import { spawn, spawnSync } from "node:child_process";
import process from "node:process";
import { programArgs } from "./spawn.ts";

/** script(1) of util-linux; other programs have the same name. */
const script = spawnSync("script", ["--version"], { encoding: "utf8" });

/** Why a terminal is not available, or `undefined` if it is. */
export const noTerminal: string | undefined =
  script.stdout?.includes("util-linux")
    ? undefined
    : "needs script(1) of util-linux for a terminal";

/** A terminal that runs a command. */
export interface Terminal {
  /** Everything shown so far. */
  readonly shown: string;
  /** Resolves with the first matching line. */
  line(pattern: RegExp): Promise<string>;
  /** Types keys. */
  type(keys: string): void;
  /** The exit code of the command. */
  readonly ended: Promise<number | null>;
}

/** Options of {@linkcode openTerminal}. */
export interface TerminalOptions {
  /** Called after new output. */
  onShown?: () => void;
  /** Environment variables; `undefined` removes one. */
  env?: Record<string, string | undefined>;
}

/** Runs a shell command in a terminal; `command` gets the text that starts the program. */
export function openTerminal(
  command: (program: string) => string,
  { onShown = () => {}, env = {} }: TerminalOptions = {},
): Terminal {
  const program = [process.execPath, ...programArgs({})]
    .map((it) => `'${it}'`).join(" ");
  // Echo is always on: by default script(1) turns it off if it has no terminal itself.
  const args = ["-q", "-e", "-E", "always", "-c", command(program)];
  const child = spawn("script", [...args, "/dev/null"], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
  let shown = "";
  let onMore = () => {};
  let isOver = false;
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      isOver = true;
      child.stdin.destroy();
      resolve(code);
      onMore();
    });
  });
  child.stdout.setEncoding("utf8").on("data", (text) => {
    shown += text;
    onShown();
    onMore();
  });
  return {
    get shown() {
      return shown;
    },
    line: (pattern) =>
      new Promise((resolve, reject) => {
        onMore = () => {
          const lines = shown.split("\r\n").slice(0, -1);
          const found = lines.find((it) => pattern.test(it));
          if (found !== undefined) resolve(found);
          else if (isOver) {
            reject(new Error(`No line ${pattern} in:\n${shown}`));
          }
        };
        onMore();
      }),
    type: (keys) => void child.stdin.write(keys),
    ended,
  };
}
