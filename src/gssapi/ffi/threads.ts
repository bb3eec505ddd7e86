/**
 * Native calls on threads of `node:worker_threads`, for the interfaces that can only
 * block the thread that calls.
 *
 * @module
 */

import { Worker } from "node:worker_threads";
import { ASYNC, type AsyncArgs, type AsyncFunctions } from "./functions.ts";
import { inTurn } from "./in_turn.ts";

/** How many calls wait for a KDC at a time. */
const MAX_THREADS = 4;

/** The program of a thread, as text: a bundler would not keep a module of its own. */
const PROGRAM = `
const { parentPort, workerData } = require("node:worker_threads");
const { dlopen } = require(workerData.module);
const functions = {};
for (const symbols of workerData.functions) {
  const opened = dlopen(workerData.library, symbols);
  Object.assign(functions, opened.functions ?? opened.symbols);
}
parentPort.on("message", ([symbol, args]) =>
  parentPort.postMessage(functions[symbol](...args))
);`;

/**
 * Returns the functions that run on threads, which are started on demand.
 *
 * @param module The module with `dlopen`.
 * @param functions A definition for each function, as `dlopen` takes it.
 */
export function asyncFunctions(
  module: string,
  library: string,
  functions: Record<string, unknown>,
): AsyncFunctions {
  const workerData = { module, library, functions: Object.values(functions) };
  const idle: Worker[] = [];
  const turns = inTurn(MAX_THREADS);
  const call = async (symbol: string, args: AsyncArgs) => {
    const thread = idle.pop() ?? start(workerData);
    const result = await answer(thread, [symbol, args]);
    idle.push(thread);
    return result;
  };
  const run = (symbol: string) => (...args: AsyncArgs) =>
    turns(() => call(symbol, args));
  return {
    importName: run(ASYNC.importName[0]),
    initSecContext: run(ASYNC.initSecContext[0]),
  };
}

function start(workerData: unknown): Worker {
  const thread = new Worker(PROGRAM, { eval: true, workerData });
  thread.unref();
  return thread;
}

/** Posts a message; resolves with the answer, or rejects if the thread has failed. */
function answer(thread: Worker, message: unknown): Promise<number> {
  return new Promise((resolve, reject) => {
    const settle = (end: () => void) => {
      thread.off("message", onMessage).off("error", onError);
      end();
    };
    const onMessage = (result: number) => settle(() => resolve(result));
    const onError = (error: Error) => settle(() => reject(error));
    thread.on("message", onMessage).on("error", onError);
    thread.postMessage(message);
  });
}
