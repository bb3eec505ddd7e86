/**
 * The verification of passwords by a program.
 *
 * @module
 */

import type { CommandVerifier } from "../../server/auth/command_verifier.ts";
import { UsageError } from "../usage_error.ts";
import type { Config } from "./config.ts";
import type { LoadedLogins } from "./load_logins.ts";

/** The options of the program. */
export interface AuthCommandConfig {
  readonly command: readonly string[];
  readonly processes: number | undefined;
  readonly timeout: number | undefined;
  readonly remember: number | undefined;
}

/**
 * Returns the options of the program, or `undefined` if there is none.
 *
 * @throws {UsageError} if there are options without a program, or other passwords.
 */
export function authCommandConfig(
  config: Config,
  { hashes, passwords }: LoadedLogins,
): AuthCommandConfig | undefined {
  const { authCommand: command, authProcesses, authTimeout, authRemember } =
    config;
  const options = {
    processes: authProcesses,
    timeout: authTimeout,
    remember: authRemember,
  };
  if (command === undefined) {
    if (Object.values(options).every((it) => it === undefined)) return;
    throw new UsageError(
      "--auth-processes, --auth-timeout and --auth-remember need a program: add " +
        '--auth-command ("authCommand" in the --config file)',
    );
  }
  if (hashes.length + passwords.length > 0) {
    throw new UsageError(
      "--auth-command verifies all passwords: leave out --user, --users-file and the " +
        "like, or --auth-command",
    );
  }
  return { command, ...options };
}

/**
 * Returns the verifier, after the first process of the program was started.
 *
 * @throws {UsageError} if it cannot be started: the server would reject its clients.
 */
export async function openAuthCommand(
  { command, processes, timeout, remember }: AuthCommandConfig,
): Promise<CommandVerifier> {
  // Loaded lazily: most servers have no such program.
  const { CommandVerifier } = await import(
    "../../server/auth/command_verifier.ts"
  );
  if (processes === 0 || timeout === 0) {
    throw new UsageError("--auth-processes and --auth-timeout cannot be 0");
  }
  const verifier = new CommandVerifier(command, {
    processes,
    timeout,
    remember,
  });
  try {
    await verifier.start();
  } catch (error) {
    throw new UsageError(`--auth-command: ${reasonOf(error)}`);
  }
  return verifier;
}

/** The arguments are not shown: they may be passwords. */
function reasonOf(error: unknown): string {
  const { name, code } = error as { name?: string; code?: string };
  if (code === "ENOENT") return "the program does not exist";
  if (code === "EACCES") return "the program must not be executed by this user";
  if (name === "NotCapable" || code === "EPERM") {
    return "Deno needs --allow-run and --allow-env=NODE_V8_COVERAGE to start a program";
  }
  return `the program cannot be started (${code ?? name})`;
}
