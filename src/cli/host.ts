/**
 * The process that the program runs in.
 *
 * On Deno these are its own functions, looked up structurally: loading
 * `node:process` there about doubles the time until the server listens.
 *
 * @module
 */

/** The signals that end the program, and their numbers. */
export const SIGNALS = { SIGINT: 2, SIGTERM: 15 } as const;

/** The name of such a signal. */
export type Signal = keyof typeof SIGNALS;

/** Says to a process that it is a worker of one that runs the same program. */
export const WORKER_VARIABLE = "SOCKS5_SERVER_WORKER";

/** What the program needs of its process. */
export interface Host {
  /** The arguments behind the program's name. */
  readonly args: readonly string[];
  /**
   * An environment variable. `undefined` also where Deno would have to ask for
   * the permission: a server must not wait for an answer.
   */
  env(name: string): string | undefined;
  /** Whether {@linkcode Host.env} may be asked for it. */
  mayReadEnv(name: string): boolean;
  /** Calls `listener` for a signal instead of ending the process. Gives what undoes it. */
  onSignal(signal: Signal | "SIGHUP", listener: () => void): () => void;
  /** Makes a standard stream that nobody reads any more an error of nobody. */
  ignoreClosedOutput(): void;
  /** Whether the standard output is a terminal. */
  readonly hasTerminal: boolean;
  /** Whether it is one that is to be coloured (https://no-color.org). */
  readonly hasColors: boolean;
  /**
   * Writes to the standard output without ever blocking the process, which
   * `console.log()` does while the reader of a pipe or a terminal has stopped.
   * Settles when it is written or cannot be; call it for one text at a time.
   */
  write(text: string): Promise<void>;
  /** Writes to the standard error. */
  writeError(text: string): void;
  /** The standard input. */
  readonly input: Input;
  /** Ends the process when its output is written, or after a second without a reader. */
  end(code: number): void;
  /** Ends the process now. */
  exit(code: number): never;
  /** Whether it is a process that another one has started to serve for it. */
  readonly isWorker: boolean;
}

/** The standard input. */
export interface Input {
  /** Whether a person types it. */
  readonly isTerminal: boolean;
  /** Whether a terminal gives each key at once, does not show it and obeys none. */
  setRaw(on: boolean): void;
  /** What comes next; `null` at the end. */
  read(): Promise<Uint8Array | null>;
}

/** The members of `Deno` that are used here. */
interface DenoProcess {
  readonly noColor: boolean;
  readonly stdin: {
    isTerminal(): boolean;
    setRaw(on: boolean): void;
    read(into: Uint8Array): Promise<number | null>;
  };
  readonly stdout: {
    isTerminal(): boolean;
    write(octets: Uint8Array): Promise<number>;
  };
  readonly stderr: { writeSync(octets: Uint8Array): number };
  readonly args: readonly string[];
  readonly env: { get(name: string): string | undefined };
  readonly permissions: {
    querySync(wanted: { name: "env"; variable: string }): { state: string };
  };
  addSignalListener(signal: Signal | "SIGHUP", listener: () => void): void;
  removeSignalListener(signal: Signal | "SIGHUP", listener: () => void): void;
  exit(code: number): never;
}

/** The members of `process` that are used here. */
interface NodeProcess {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: NodeInput;
  readonly stdout: NodeOutput;
  readonly stderr: NodeOutput;
  /** Whether the process that started this one can talk to it. */
  readonly connected?: boolean;
  on(signal: Signal | "SIGHUP", listener: () => void): void;
  off(signal: Signal | "SIGHUP", listener: () => void): void;
  exit(code: number): never;
}

interface NodeOutput {
  readonly isTTY?: boolean;
  on(event: "error", listener: () => void): void;
  write(text: string, done?: () => void): void;
  readonly _handle?: { setBlocking?(on: boolean): void };
}

interface NodeInput extends AsyncIterable<Uint8Array> {
  readonly isTTY?: boolean;
  setRawMode(on: boolean): void;
}

/** How long a process that ends waits for its output to be read, in milliseconds. */
const PATIENCE = 1_000;

/** The process of the runtime that runs this. */
export function thisHost(): Host {
  const runtime = globalThis as unknown as {
    Deno?: DenoProcess;
    process: NodeProcess;
  };
  return runtime.Deno ? denoHost(runtime.Deno) : nodeHost(runtime.process);
}

function denoHost(deno: DenoProcess): Host {
  const mayReadEnv = (variable: string) =>
    deno.permissions.querySync({ name: "env", variable }).state === "granted";
  return {
    args: deno.args,
    env: (name) => mayReadEnv(name) ? deno.env.get(name) : undefined,
    mayReadEnv,
    onSignal(signal, listener) {
      try {
        deno.addSignalListener(signal, listener);
      } catch {
        return () => {}; // Windows has no SIGTERM
      }
      return () => deno.removeSignalListener(signal, listener);
    },
    ignoreClosedOutput() {},
    get hasTerminal() {
      return deno.stdout.isTerminal();
    },
    get hasColors() {
      return this.hasTerminal && !deno.noColor && this.env("TERM") !== "dumb";
    },
    async write(text) {
      for (const lines of pieces(encoder.encode(text))) {
        await writeAll(lines, (octets) => deno.stdout.write(octets));
      }
    },
    writeError: (text) => void deno.stderr.writeSync(encoder.encode(text)),
    input: {
      get isTerminal() {
        return deno.stdin.isTerminal();
      },
      setRaw: (on) => deno.stdin.setRaw(on),
      async read() {
        const octets = new Uint8Array(1024);
        const length = await deno.stdin.read(octets);
        return length === null ? null : octets.subarray(0, length);
      },
    },
    end: (code) => deno.exit(code),
    exit: (code) => deno.exit(code),
    isWorker: false, // which is a thread there
  };
}

function nodeHost(process: NodeProcess): Host {
  const { stdout, stderr } = process;
  const isWorker = process.connected === true && WORKER_VARIABLE in process.env;
  let input: AsyncIterator<Uint8Array> | undefined;
  return {
    args: process.argv.slice(2),
    env: (name) => process.env[name],
    mayReadEnv: () => true,
    onSignal(signal, listener) {
      process.on(signal, listener);
      return () => process.off(signal, listener);
    },
    ignoreClosedOutput() {
      for (const output of [stdout, stderr]) output.on("error", () => {});
    },
    get hasTerminal() {
      return stdout.isTTY === true;
    },
    get hasColors() {
      const { NO_COLOR, TERM } = process.env;
      return this.hasTerminal && !NO_COLOR && TERM !== "dumb";
    },
    write: isWorker ? inPieces(nodeWrite(stdout)) : nodeWrite(stdout),
    writeError: (text) => stderr.write(text),
    // Getters: only looking at process.stdin opens it.
    input: {
      get isTerminal() {
        return process.stdin.isTTY === true;
      },
      setRaw: (on) => process.stdin.setRawMode(on),
      async read() {
        input ??= process.stdin[Symbol.asyncIterator]();
        const { value, done } = await input.next();
        return done ? null : value;
      },
    },
    end(code) {
      setTimeout(() => process.exit(code), PATIENCE);
      stdout.write("", () => stderr.write("", () => process.exit(code)));
    },
    exit: (code) => process.exit(code),
    isWorker,
  };
}

/**
 * Streams write to pipes without blocking and to files at once. A stopped
 * terminal (Ctrl-S) blocks them: Node has a switch against that, Bun only
 * `fs.write()`, which on Node would keep a process from ending.
 */
function nodeWrite(stdout: NodeOutput): (text: string) => Promise<void> {
  if (stdout.isTTY && "Bun" in globalThis) return writeDescriptor;
  if (stdout.isTTY) stdout._handle?.setBlocking?.(false);
  return (text) =>
    new Promise((resolve) => stdout.write(text, () => resolve()));
}

/** Lest lines get into those of other processes with the same output. */
function inPieces(
  write: (text: string) => Promise<void>,
): (text: string) => Promise<void> {
  const decoder = new TextDecoder();
  return async (text) => {
    for (const lines of pieces(encoder.encode(text))) {
      await write(decoder.decode(lines));
    }
  };
}

async function writeDescriptor(text: string): Promise<void> {
  const { write } = await import("node:fs");
  await writeAll(
    encoder.encode(text),
    (octets) =>
      new Promise((resolve, reject) =>
        write(
          1,
          octets,
          (error, length) => error ? reject(error) : resolve(length),
        )
      ),
  );
}

const encoder = new TextEncoder();

/** What a pipe takes as a whole or not at all, in octets: PIPE_BUF. */
const PIECE = 4096;

/**
 * Whole lines, as many as a pipe takes at once. Of more than that Deno says
 * "would block" also when it has written a part, if the pipe is non-blocking,
 * as `npx` makes it.
 */
function* pieces(octets: Uint8Array): Iterable<Uint8Array> {
  const lineFeed = 0x0a;
  for (let end; octets.length > 0; octets = octets.subarray(end)) {
    end = octets.length;
    if (end > PIECE) end = octets.lastIndexOf(lineFeed, PIECE - 1) + 1;
    // A single line is longer than that.
    if (end === 0) end = octets.indexOf(lineFeed) + 1 || octets.length;
    yield octets.subarray(0, end);
  }
}

/** Writes in as many steps as it takes; a failure, such as a full disk, ends it. */
async function writeAll(
  octets: Uint8Array,
  write: (octets: Uint8Array) => Promise<number>,
): Promise<void> {
  while (octets.length > 0) {
    try {
      octets = octets.subarray(await write(octets));
    } catch (error) {
      if (!isBusy(error)) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** A pipe that another process made non-blocking is full. */
function isBusy(error: unknown): boolean {
  const { name, code } = error as { name?: string; code?: string };
  return name === "WouldBlock" || code === "EAGAIN";
}
