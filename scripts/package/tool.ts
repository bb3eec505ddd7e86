/**
 * Runs the commands of the package for clients.
 *
 * @module
 */

import { expect, patience, report } from "./report.ts";

/**
 * Checks a proxy, which is the program itself, and runs a program on Node.js through it that
 * knows of no proxy.
 */
export async function checkTool(
  name: string,
  folder: string,
  command: string,
  args: readonly string[],
): Promise<void> {
  const target = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response("hello"),
  );
  const proxy = new Deno.Command(command, {
    args: [...args, "serve", "--port", "0", "--log", "text"],
    cwd: folder,
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const timer = setTimeout(() => proxy.kill("SIGKILL"), 2 * patience);
  const output = new Output(proxy.stdout);
  try {
    const listening = await output.until(/ listens on \S+:(\d+) /);
    const url = `socks5h://127.0.0.1:${listening}`;
    await expect(`check, ${name}`, {
      folder,
      command,
      args: [...args, "check", "--require", "udp,bind,socks4a", url],
      output: "CONNECT to IPv4",
    });
    const { port } = target.addr;
    const script = `fetch("http://127.0.0.1:${port}").then((it) => it.text())` +
      ".then(console.log)";
    await expect(`run, ${name}`, {
      folder,
      command,
      args: [...args, "run", url, "--", "node", "-e", script],
      output: "hello",
    });
    const session = await output.until(
      new RegExp(` 127\\.0\\.0\\.1:(${port}) `),
    );
    const problem = session ? undefined : "the program connected directly";
    report(`run through the proxy, ${name}`, problem);
  } finally {
    clearTimeout(timer);
    proxy.kill("SIGKILL");
    await output.cancel();
    await proxy.status;
    await target.shutdown();
  }
}

/** The standard output of a program. */
class Output {
  readonly #reader: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(stdout: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#reader = stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Reads until the pattern matches, and returns its group; `undefined` at the end. */
  async until(pattern: RegExp): Promise<string | undefined> {
    for (;;) {
      const found = pattern.exec(this.#text)?.[1];
      if (found !== undefined) return found;
      const { value, done } = await this.#reader.read();
      if (done) return undefined;
      this.#text += value;
    }
  }

  cancel(): Promise<void> {
    return this.#reader.cancel();
  }
}
