/**
 * The channel between the supervisor and a worker. A worker is a process or a
 * thread, depending on the runtime.
 *
 * @module
 */

import type { FromWorker, ToWorker } from "./messages.ts";

/** How a worker ended. A thread that failed has neither code nor signal. */
export interface WorkerExit {
  readonly code?: number;
  readonly signal?: string;
  readonly error?: string;
}

/** The callbacks of a worker's launcher. */
export interface WorkerHandlers {
  onMessage(message: FromWorker): void;
  /** The worker has ended. Called once; later messages are ignored. */
  onExit(exit: WorkerExit): void;
}

/** The supervisor's end of the channel. */
export interface WorkerChannel {
  /** The id of the worker's process; `undefined` for a thread. */
  readonly pid: number | undefined;
  /** Sends a message. Does nothing after the worker has ended. */
  post(message: ToWorker): void;
  /** Ends the worker forcibly. */
  kill(): void;
}

/** Starts workers. */
export interface Launcher {
  /**
   * Whether the workers share one listening socket of the supervisor, as those of
   * `node:cluster` do. Each of them then has to request the configured port, even
   * if that is 0; all get the port of the first one.
   */
  readonly sharesListener: boolean;
  /** Starts a worker. */
  start(handlers: WorkerHandlers): WorkerChannel;
}

/** The worker's end of the channel. */
export interface SupervisorChannel {
  /** Sets the listener for messages. */
  onMessage(listener: (message: ToWorker) => void): void;
  post(message: FromWorker): void;
  /** Ends the worker with success. */
  exit(): void;
  /** Whether the worker is a process of its own. */
  readonly isProcess: boolean;
}
