/**
 * Workers that are processes: the program again, with a channel to talk to it.
 *
 * @module
 */

import { type ChildProcess, fork } from "node:child_process";
import process from "node:process";
import { WORKER_VARIABLE } from "../host/node.ts";
import type { Launcher, PrimaryChannel, WorkerHandlers } from "./channel.ts";
import type { FromWorker, ToWorker } from "./messages.ts";

/** Its channel, beside the standard output and error of the program. */
const STDIO = ["ignore", "inherit", "inherit", "ipc"] as const;
const ENV = { [WORKER_VARIABLE]: "1" };

/** Starts processes. Node.js that does not know SO_REUSEPORT shares a port by its cluster. */
export async function processes(): Promise<Launcher> {
  if (await canReusePort()) {
    return {
      portsAreShared: false,
      start: (handlers) =>
        linkTo(
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
    portsAreShared: true,
    start: (handlers) => linkTo(cluster.fork(ENV).process, handlers),
  };
}

async function canReusePort(): Promise<boolean> {
  return "Bun" in globalThis ||
    (await import("../../transport/node/transport.ts")).canReusePort;
}

function linkTo(child: ChildProcess, handlers: WorkerHandlers) {
  let isOver = false;
  const onExit: WorkerHandlers["onExit"] = (exit) => {
    if (isOver) return;
    isOver = true;
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
      if (child.connected) child.send(message, () => {}); // that it failed the exit tells
    },
    kill: () => void child.kill("SIGKILL"),
  };
}

/** The process that started this one; without it this one ends, too. */
export function parentProcess(): PrimaryChannel {
  process.on("disconnect", () => process.exit());
  // A terminal sends them to all of its processes; what they mean is told by message.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {});
  }
  return {
    onMessage: (listener) =>
      void process.on("message", (it) => listener(it as ToWorker)),
    post: (message) =>
      void process.send!(message, undefined, undefined, () => {}), // that it failed `disconnect` tells
    end: () => process.exit(),
  };
}
