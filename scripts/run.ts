/**
 * Runs programs.
 *
 * @module
 */

import { root } from "./files.ts";

/** The result of {@linkcode run}. */
export interface Output {
  success: boolean;
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program and captures its output. */
export async function run(
  command: string,
  args: string[],
  options: {
    cwd?: string;
    env?: Record<string, string>;
    signal?: AbortSignal;
  } = {},
): Promise<Output> {
  try {
    const output = await new Deno.Command(command, {
      cwd: root,
      ...options,
      args,
      stdin: "null",
    })
      .output();
    const decoder = new TextDecoder();
    return {
      success: output.success,
      code: output.code,
      stdout: decoder.decode(output.stdout),
      stderr: decoder.decode(output.stderr),
    };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return {
      success: false,
      code: 127,
      stdout: "",
      stderr: `${command}: not found\n`,
    };
  }
}

/** Like {@linkcode run}, and calls a function with whole lines as they arrive. */
export async function runWatched(
  command: string,
  args: string[],
  options: { env?: Record<string, string>; signal?: AbortSignal },
  onLines: (text: string) => void,
): Promise<Output> {
  const child = new Deno.Command(command, {
    cwd: root,
    ...options,
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const read = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
    let all = "";
    let shown = 0;
    const show = (end: number) => {
      if (end > shown) onLines(all.slice(shown, end));
      shown = Math.max(shown, end);
    };
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      all += text;
      show(all.lastIndexOf("\n") + 1);
    }
    show(all.length);
    return all;
  };
  const [{ success, code }, stdout, stderr] = await Promise.all([
    child.status,
    read(child.stdout),
    read(child.stderr),
  ]);
  return { success, code, stdout, stderr };
}
