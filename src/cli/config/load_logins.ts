/**
 * The logins of the program: users, passwords and secrets of flags and files.
 *
 * @module
 */

import type { UserAttributes } from "../../server/accounting/user_attributes.ts";
import { parseSecrets } from "../../server/auth/secrets_file.ts";
import { UsersError } from "../../server/auth/user_lines.ts";
import { parseUsers } from "../../server/auth/users_file.ts";
import { quote } from "../output/escape.ts";
import type { Config } from "./config.ts";
import { fileName, type ReadFile, tryRead } from "./files.ts";
import type { CommandLine } from "./flags.ts";

/** The logins of the configuration. */
export interface LoadedLogins {
  /** The users of the configuration and of users files. */
  readonly hashes: readonly (readonly [name: string, hash: string])[];
  /** The users of flags and of the environment. */
  readonly passwords: readonly (readonly [name: string, password: string])[];
  /** The users of the CHAP secrets. */
  readonly secrets: readonly (readonly [name: string, secret: string])[];
  /** The attributes of the users that have any. */
  readonly attributes: ReadonlyMap<string, UserAttributes>;
}

/** Reads the files of logins; adds their problems to `problems`. */
export async function loadLogins(
  config: Config,
  commandLine: CommandLine,
  read: ReadFile,
  problems: string[],
): Promise<LoadedLogins> {
  const attributes = new Map<string, UserAttributes>();
  const sources = { config, commandLine, read, problems, attributes };
  const hashes = await loadUsers(sources);
  const secrets = await loadSecrets(config, read, problems);
  const passwords = [...commandLine.logins];
  return {
    hashes: [...hashes],
    passwords,
    secrets: Object.entries(secrets),
    attributes,
  };
}

interface Sources {
  readonly config: Config;
  readonly commandLine: CommandLine;
  readonly read: ReadFile;
  readonly problems: string[];
  /** Gets the attributes of users. */
  readonly attributes: Map<string, UserAttributes>;
}

/** Returns the hash of each user of the configuration and of users files. */
async function loadUsers(
  { config, commandLine, read, problems, attributes }: Sources,
): Promise<Map<string, string>> {
  const { users = [], usersFile = [] } = config;
  const { file, logins } = commandLine;
  const hashes = new Map<string, string>();
  const add = (lines: string, source: string, pathOf: PathOf) => {
    const found = usable(() => parseUsers(lines), source, pathOf, problems);
    for (const [name, given] of found?.attributes ?? []) {
      attributes.set(name, given);
    }
    for (const [name, hash] of found?.hashes ?? []) {
      if (!hashes.has(name) && !logins.has(name)) hashes.set(name, hash);
      else problems.push(`${source}: user ${quote(name)} is defined twice`);
    }
  };
  for (const line of users) add(line, `${fileName(file!)}: users`, () => "");
  for (const path of usersFile) {
    const lines = await tryRead(read, path, problems);
    if (lines !== undefined) add(lines, fileName(path), lineText);
  }
  return hashes;
}

async function loadSecrets(
  { chapSecrets: path }: Config,
  read: ReadFile,
  problems: string[],
): Promise<Readonly<Record<string, string>>> {
  if (path === undefined) return {};
  const text = await tryRead(read, path, problems, { isPrivate: true });
  if (text === undefined) return {};
  const parse = () => parseSecrets(text);
  return usable(parse, fileName(path), lineText, problems) ?? {};
}

/** The position of a line in error messages. */
type PathOf = (line: number | undefined) => string;

const lineText: PathOf = (line) => line ? `line ${line}: ` : "";

function usable<T>(
  parse: () => T,
  source: string,
  pathOf: PathOf,
  problems: string[],
): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof UsersError)) throw error;
    for (const { line, reason } of error.problems) {
      problems.push(`${source}: ${pathOf(line)}${reason}`);
    }
  }
}

/** The names of all users. */
export function namesOfLogins(
  { hashes, passwords, secrets }: LoadedLogins,
): ReadonlySet<string> {
  return new Set([...hashes, ...passwords, ...secrets].map(([name]) => name));
}
