/**
 * Checks who imports whom: every folder of `src/` is a room, and a room may
 * open only the doors the table below names. Checks the entries of the
 * project's root as well.
 *
 * @module
 */

import { posix } from "node:path";

interface Room {
  /** What a module of the room may import besides the room itself. */
  imports: string[];
  /** Which packages it may import: a specifier, or a scheme such as `node:`. */
  packages?: string[];
}

const rooms: Record<string, Room> = {
  "src/protocol": { imports: [] },
  "src/transport": { imports: [], packages: ["node:"] },
  "src/server": { imports: ["src/transport", "src/protocol"] },
  "src/client": { imports: ["src/transport", "src/protocol"] },
  "src/adapters": { imports: ["src/client", "src/transport", "src/protocol"] },
  "src/cli": { imports: ["src"], packages: ["node:", "@std/cli"] },
};

/** The modules that know a runtime. Only `detect` may import them, lazily. */
const runtimes = ["deno", "bun", "node"].map((it) => `src/transport/${it}.ts`);
const detect = "src/transport/detect.ts";

/** Deno has `node:net` as well, for what its own sockets lack. */
const byNode = {
  from: "src/transport/deno/transport.ts",
  to: "src/transport/node/transport.ts",
};

/** The server's entry is also the program, so it may load the command line. */
const program = { from: "src/server/mod.ts", to: "src/cli/main.ts" };

const rootEntries = [
  "LICENSE",
  "README.md",
  "deno.json",
  "mod.ts",
  "scripts",
  "src",
  "tests",
];
const ignoredEntries = ["node_modules", "npm"];

interface Import {
  /** Undefined when it is not a literal. */
  specifier?: string;
  dynamic: boolean;
}

/** The imports and re-exports of a module's text. */
export function importsOf(text: string): Import[] {
  const code = text
    .replaceAll(/\/\*.*?\*\//gs, "")
    .replaceAll(/(?<=^|\s)\/\/.*$/gm, "");
  const found: Import[] = [];
  const statement =
    /\b(?:import|export)\b[\w\s{},*$]*?\bfrom\s*(["'])(.*?)\1|\bimport\s*(["'])(.*?)\3/g;
  for (const match of code.matchAll(statement)) {
    found.push({ specifier: match[2] ?? match[4], dynamic: false });
  }
  for (
    const match of code.matchAll(/\bimport\s*\(\s*(?:(["'])(.*?)\1\s*[,)])?/g)
  ) {
    found.push({ specifier: match[2], dynamic: true });
  }
  return found;
}

/** What a module may not import; `path` is relative to the project's root. */
export function violationsOf(path: string, text: string): string[] {
  const found: string[] = [];
  const folder = Object.keys(rooms).find((it) => path.startsWith(`${it}/`));
  if (folder === undefined && path !== "mod.ts") {
    return [`${path} is in no room`];
  }
  const room = folder === undefined ? { imports: ["src"] } : rooms[folder];
  for (const { specifier, dynamic } of importsOf(text)) {
    const refuse = (why: string) =>
      found.push(`${path} imports ${specifier}: ${why}`);
    if (specifier === undefined) {
      found.push(`${path} imports what is not a literal`);
      continue;
    }
    if (!/^\.{0,2}\//.test(specifier)) {
      const isAllowed = room.packages?.some((it) =>
        it.endsWith(":")
          ? specifier.startsWith(it)
          : `${specifier}/`.startsWith(`${it}/`)
      );
      if (!isAllowed) refuse("this room imports no such package");
      continue;
    }
    const target = posix.join(posix.dirname(path), specifier);
    if (path === program.from && target === program.to && dynamic) continue;
    if (path === byNode.from && target === byNode.to && dynamic) continue;
    if (runtimes.includes(target) && folder !== "src/cli") {
      if (path !== detect) refuse(`only ${detect} imports a runtime's module`);
      else if (!dynamic) refuse("import it dynamically");
      continue;
    }
    if (target === detect && runtimes.includes(path)) {
      refuse("it imports this one");
    }
    const allowed = [...room.imports, folder].filter((it) => it !== undefined);
    if (!allowed.some((it) => target.startsWith(`${it}/`))) {
      refuse(`this room imports ${allowed.join(", ")} only`);
    }
  }
  return found;
}

async function* modules(folder: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* modules(path);
    else if (/\.[cm]?[jt]sx?$/.test(entry.name)) yield path;
  }
}

/** All violations of the project in the current folder. */
export async function violations(): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of Deno.readDir(".")) {
    if (name.startsWith(".") || ignoredEntries.includes(name)) continue;
    if (!rootEntries.includes(name)) {
      found.push(`${name} does not belong into the root`);
    }
  }
  for (const path of ["mod.ts", ...await Array.fromAsync(modules("src"))]) {
    found.push(...violationsOf(path, await Deno.readTextFile(path)));
  }
  return found.sort();
}

if (import.meta.main) {
  const found = await violations();
  for (const violation of found) console.error(violation);
  Deno.exit(found.length > 0 ? 1 : 0);
}
