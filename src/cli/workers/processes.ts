/**
 * Launches workers as processes of the same program, with an IPC channel.
 *
 * @module
 */

import { type ChildProcess, fork } from "node:child_process";
import process from "node:process";
import { detectTransport } from "../../transport/detect.ts";
import { WORKER_VARIABLE } from "../host/node.ts";
import type { Launcher, WorkerChannel, WorkerHandlers } from "./channel.ts";
import type { FromWorker, ToWorker } from "./messages.ts";

/** Workers share the standard output and error of the program, and have a channel. */
const STDIO = ["ignore", "inherit", "inherit", "ipc"] as const;
const ENV = { [WORKER_VARIABLE]: "1" };

/**
 * Opens the launcher of processes. A Node.js version without SO_REUSEPORT shares the
 * port by `node:cluster`.
 */
export async function openProcesses(): Promise<Launcher> {
  const { canReusePort } = await detectTransport();
  if (canReusePort) {
    return {
      sharesListener: false,
      start: (handlers) =>
        openChannel(
          fork(process.argv[1], [], {
            stdio: [...STDIO],
            env: { ...process.env, ...ENV },
          }),
          handlers,
        ),
    };
  }
  const { default: cluster } = await import("node:cluster");
  cluster.setupPrimary({ exec: process.argv[1], args: [], stdio: [...STDIO] });
  return {
    sharesListener: true,
    start: (handlers) => openChannel(cluster.fork(ENV).process, handlers),
  };
}

function openChannel(
  child: ChildProcess,
  handlers: WorkerHandlers,
): WorkerChannel {
  let hasEnded = false;
  const onExit: WorkerHandlers["onExit"] = (exit) => {
    if (hasEnded) return;
    hasEnded = true;
    handlers.onExit(exit);
  };
  child.on("message", (message) => handlers.onMessage(message as FromWorker));
  child.on("error", ({ message }) => onExit({ error: message }));
  child.on("exit", (code, signal) => {
    onExit({ code: code ?? undefined, signal: signal ?? undefined });
  });
  return {
    pid: child.pid,
    post(message: ToWorker) {
      if (!child.connected) return;
      child.send(message, () => {}); // an error is followed by "exit"
    },
    kill: () => void child.kill("SIGKILL"),
  };
}
