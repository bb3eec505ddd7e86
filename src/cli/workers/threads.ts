/**
 * Launches workers as threads, on Deno: starting a process would need the
 * permission to run programs, which allows everything.
 *
 * @module
 */

import { UsageError } from "../usage_error.ts";
import { WORKER_THREAD } from "../host/deno.ts";
import type { Launcher, WorkerHandlers } from "./channel.ts";
import { type FromThread, THREAD_URL } from "./worker_thread.ts";

/** The members of `Deno` that are used here. */
interface DenoPermissions {
  readonly permissions: {
    querySync(permission: { name: "read"; path: URL }): { state: string };
  };
}

/**
 * Opens the launcher of threads.
 *
 * @throws {UsageError} if a flag or a permission of Deno is missing.
 */
export function openThreads(): Launcher {
  const { Deno: deno } = globalThis as unknown as { Deno: DenoPermissions };
  if (!("listenDatagram" in deno)) {
    throw new UsageError(
      "more than one worker needs Deno's flag --unstable-net: " +
        "without it workers cannot share the port",
    );
  }
  const folder = new URL("../../", import.meta.url);
  const permission = { name: "read", path: folder } as const;
  if (
    folder.protocol === "file:" &&
    deno.permissions.querySync(permission).state !== "granted"
  ) {
    throw new UsageError(
      "more than one worker needs --allow-read: " +
        "each loads the program's own modules",
    );
  }
  return { sharesListener: false, start };
}

function start(handlers: WorkerHandlers) {
  const name = WORKER_THREAD;
  const thread = new Worker(THREAD_URL, { type: "module", name });
  let hasEnded = false;
  const end: WorkerHandlers["onExit"] = (exit) => {
    if (hasEnded) return;
    hasEnded = true;
    thread.terminate();
    handlers.onExit(exit);
  };
  thread.onmessage = ({ data }: { data: FromThread }) => {
    if (hasEnded) return;
    if (data.type === "exit") end({ code: 0 });
    else handlers.onMessage(data);
  };
  thread.onerror = (event) => {
    event.preventDefault(); // the error ends only the thread, not the process
    end({ error: event.message });
  };
  const post: ReturnType<Launcher["start"]>["post"] = (message) => {
    if (!hasEnded) thread.postMessage(message);
  };
  return { pid: undefined, post, kill: () => end({ signal: "SIGKILL" }) };
}
