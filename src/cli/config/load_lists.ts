/**
 * The lists of hosts that rules refer to: `@FILE`.
 *
 * @module
 */

import { HostList } from "../../server/policy/host_list.ts";
import { isList } from "../../server/policy/rule.ts";
import { parseRule } from "../../server/policy/rule_text.ts";
import { quote } from "../output/escape.ts";
import type { Config } from "./config.ts";
import { besideFile, fileName, type ReadFile, tryRead } from "./files.ts";

/** The rules of flags and of the configuration file. */
export interface RuleSources {
  readonly flags: Config["rules"];
  readonly fileRules: Config["rules"];
  /** The configuration file, if there is one. */
  readonly file: string | undefined;
}

/**
 * Reads the lists, by the names that the rules have for them; adds what is wrong with them
 * to `problems`. The paths of a configuration file are relative to its folder.
 */
export async function loadLists(
  { flags = [], fileRules = [], file }: RuleSources,
  read: ReadFile,
  problems: string[],
): Promise<Readonly<Record<string, HostList>>> {
  const paths = new Map<string, string>();
  for (const name of namesIn(flags)) paths.set(name, name);
  for (const name of namesIn(fileRules)) {
    const path = besideFile(file!, name);
    if ((paths.get(name) ?? path) === path) paths.set(name, path);
    else {
      problems.push(
        `${fileName(file!)}: @${quote(name)} is another file than that of ` +
          "the flags: write the whole path",
      );
    }
  }
  const lists: Record<string, HostList> = {};
  for (const [name, path] of paths) {
    const text = await tryRead(read, path, problems);
    if (text === undefined) continue;
    try {
      lists[name] = await HostList.parse(text);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      problems.push(`${fileName(path)}: ${error.message}`);
    }
  }
  return lists;
}

function namesIn(rules: readonly string[]): Set<string> {
  const hosts = rules
    .filter((it) => it.includes("@")) // most rules are not parsed twice
    .flatMap((it) => parseRule(it).to ?? [])
    .flatMap(({ host = "*" }) => isList(host) ? [host.slice(1)] : []);
  return new Set(hosts);
}
