/**
 * A worker that is a process.
 *
 * @module
 */

import process from "node:process";
import { IGNORED_SIGNALS, SIGNALS } from "../host/host.ts";
import type { SupervisorChannel } from "./channel.ts";
import type { ToWorker } from "./messages.ts";
import { runWorker } from "./worker.ts";

/** Runs a worker in this process, which ends with the process that started it. */
export function runWorkerProcess(): void {
  process.on("disconnect", () => process.exit());
  // A terminal sends signals to all of its processes. The supervisor handles
  // them, and sends messages.
  const names = [...Object.keys(SIGNALS), "SIGHUP", ...IGNORED_SIGNALS];
  for (const name of names) process.on(name, () => {});
  runWorker(channel);
}

const channel: SupervisorChannel = {
  onMessage: (listener) =>
    void process.on("message", (message) => listener(message as ToWorker)),
  // An error needs no handler: it is followed by "disconnect".
  post: (message) =>
    void process.send!(message, undefined, undefined, () => {}),
  exit: () => process.exit(),
  isProcess: true,
};
