/**
 * Workers that are threads, on Deno: to start a process would need a permission
 * that allows everything. This module is the thread's first one, too.
 *
 * @module
 */

import type { Launcher, PrimaryChannel } from "./channel.ts";
import type { FromWorker, ToWorker } from "./messages.ts";

/** The name by which a thread knows that it is one of these. */
const NAME = "socks5-server worker";

/** The members of `Deno` that are used here. */
interface DenoPermissions {
  readonly permissions: {
    querySync(wanted: { name: "read"; path: URL }): { state: string };
  };
}

/** What a thread tells who started it. */
type FromThread = FromWorker | { readonly type: "end" };

/** The members of a thread's global object that are used here. */
interface Thread {
  readonly name?: string;
  onmessage: ((event: { data: ToWorker }) => void) | null;
  postMessage(message: FromThread): void;
}

/** Starts threads. */
export const threads: Launcher = {
  portsAreShared: false,
  start(handlers) {
    const thread = new Worker(import.meta.url, { type: "module", name: NAME });
    let isOver = false;
    const end: typeof handlers.onExit = (exit) => {
      if (isOver) return;
      isOver = true;
      thread.terminate();
      handlers.onExit(exit);
    };
    thread.onmessage = ({ data }: { data: FromThread }) => {
      if (isOver) return;
      if (data.type === "end") end({ code: 0 });
      else handlers.onMessage(data);
    };
    thread.onerror = (event) => {
      event.preventDefault(); // it ends the thread only
      end({ error: event.message });
    };
    return {
      pid: undefined,
      post: (message) => isOver || thread.postMessage(message),
      kill: () => end({ signal: "SIGKILL" }),
    };
  },
};

/** What is missing to have threads that share a port. */
export function whyNoThreads(): string | undefined {
  const { Deno: deno } = globalThis as unknown as { Deno: DenoPermissions };
  if (!("listenDatagram" in deno)) {
    return "more than one worker needs Deno's flag --unstable-net: " +
      "without it workers cannot share the port";
  }
  const folder = new URL("../../", import.meta.url);
  const wanted = { name: "read", path: folder } as const;
  if (
    folder.protocol === "file:" &&
    deno.permissions.querySync(wanted).state !== "granted"
  ) {
    return "more than one worker needs --allow-read: " +
      "each loads the program's own modules";
  }
}

const thread = globalThis as unknown as Thread;

const link: PrimaryChannel = {
  onMessage(listener) {
    thread.onmessage = ({ data }) => listener(data);
  },
  post: (message) => thread.postMessage(message),
  end: () => thread.postMessage({ type: "end" }),
};

if (thread.name === NAME) {
  import("./worker.ts").then(({ work }) => work(link));
}
