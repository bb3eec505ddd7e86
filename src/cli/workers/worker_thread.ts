/**
 * The main module of a worker thread. Other threads import it only for its URL:
 * it starts a worker only in a thread of the given name.
 *
 * @module
 */

import { WORKER_THREAD } from "../host/deno.ts";
import type { SupervisorChannel } from "./channel.ts";
import type { FromWorker, ToWorker } from "./messages.ts";
import { runWorker } from "./worker.ts";

/** The URL of this module, also where a bundler has moved it. */
export const THREAD_URL: string = import.meta.url;

/** The messages of a thread, which cannot end itself. */
export type FromThread = FromWorker | { readonly type: "exit" };

/** The members of a thread's global object that are used here. */
interface Thread {
  readonly name?: string;
  onmessage: ((event: { data: ToWorker }) => void) | null;
  postMessage(message: FromThread): void;
}

const thread = globalThis as unknown as Thread;

const channel: SupervisorChannel = {
  onMessage(listener) {
    const onMessage = ({ data }: { data: ToWorker }) => listener(data);
    thread.onmessage = onMessage;
  },
  post: (message) => thread.postMessage(message),
  exit: () => thread.postMessage({ type: "exit" }),
  isProcess: false,
};

if (thread.name === WORKER_THREAD) runWorker(channel);
