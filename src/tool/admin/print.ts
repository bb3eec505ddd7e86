/**
 * The output of the commands that speak to a server.
 *
 * @module
 */

import { EXIT } from "../../cli/failure.ts";
import type { Host } from "../../cli/host/host.ts";
import { escapeJson } from "../../cli/output/escape.ts";
import type { Incomplete } from "../../cli/serve/control/control.ts";
import type { Arguments } from "../args/parse.ts";

/**
 * Prints an answer as JSON or as text, and returns the exit code: 1 if workers are missing in
 * it.
 */
export async function printAnswer<T extends object>(
  host: Host,
  args: Arguments,
  answer: T,
  textOf: (answer: T) => string,
): Promise<number> {
  const text = args.has("json")
    ? `${escapeJson(JSON.stringify(answer, null, 2))}\n`
    : textOf(answer);
  await host.write(text);
  const { missing = 0 } = answer as Incomplete;
  if (missing === 0) return EXIT.ok;
  const number = missing === 1 ? "1 worker" : `${missing} workers`;
  host.writeError(
    `socks5: ${number} did not answer and ${
      missing === 1 ? "is" : "are"
    } left out\n`,
  );
  return EXIT.failed;
}

/** Such as `1 session` and `2 sessions`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
