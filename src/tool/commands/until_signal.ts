/**
 * Waiting for the end of a command that serves until it is stopped.
 *
 * @module
 */

import { type Host, SIGNALS } from "../../cli/host/host.ts";
import { Signals } from "../../cli/serve/signals.ts";

/**
 * Prints a line, runs until the first signal, and closes everything. A second signal ends
 * the process at once.
 */
export async function untilSignal(
  host: Host,
  line: string,
  close: () => Promise<void>,
): Promise<void> {
  const signals = new Signals(
    host,
    (signal) => host.exit(128 + SIGNALS[signal]),
  );
  await host.write(`${line}\n`);
  await signals.first;
  await close();
  signals.stop();
}
