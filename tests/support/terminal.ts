/**
 * Runs the program on a terminal.
 *
 * @module
 */

import { spawn, spawnSync } from "node:child_process";
import process from "node:process";
import { programArgs } from "./spawn.ts";

/** Of util-linux, which also others call so. */
const script = spawnSync("script", ["--version"], { encoding: "utf8" });

/** Why there can be no terminal, if there cannot. */
export const noTerminal: string | undefined =
  script.stdout?.includes("util-linux")
    ? undefined
    : "needs script(1) of util-linux for a terminal";

/** A terminal on which a command runs. */
export interface Terminal {
  /** All that it has shown. */
  readonly shown: string;
  /** The first line on it that matches, once it is there. */
  line(pattern: RegExp): Promise<string>;
  /** Presses keys. */
  type(keys: string): void;
  /** The exit code of the command. */
  readonly ended: Promise<number | null>;
}

/** Options of {@linkcode openTerminal}. */
export interface TerminalOptions {
  /** Called when it has shown more. */
  onShown?: () => void;
  /** Variables of the environment; `undefined` takes one away. */
  env?: Record<string, string | undefined>;
}

/** Runs a shell command, which is told how to start the program, on a terminal. */
export function openTerminal(
  command: (program: string) => string,
  { onShown = () => {}, env = {} }: TerminalOptions = {},
): Terminal {
  const program = [process.execPath, ...programArgs({})]
    .map((it) => `'${it}'`).join(" ");
  // By default the terminal of a script without one would echo nothing anyway.
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
