/**
 * Checks the structure of the source: which module may import which, that no
 * modules import each other in a circle, and that nothing unexpected stands in
 * the project's root.
 *
 * Every folder of `src/`, and some single files, is a room. A module may import
 * the modules of its own room, and those that the table below lists. Type-only
 * imports count as any other.
 *
 * `protocol` turns octets into values and does no I/O. `transport` is the network: one
 * interface with an implementation for each runtime, in folders of the same shape.
 * `server` and `client` build on both and never on each other; `cli` is the program, and `tool`
 * its commands for clients.
 * In the server, `frontends` reads a client's bytes up to one request, `auth` checks who
 * the client is, `policy` what it may do, `egress` from which address, and `limits` how much
 * of it; `commands` runs the request, and `cluster` shares the limits of several servers, for
 * example of the workers in `src/cli/workers`.
 *
 * @module
 */

import { circlesOf } from "./imports/circles_of.ts";
import { importsOf, targetOf } from "./imports/imports_of.ts";

interface Room {
  /** Which modules are in the room: `*` matches within a folder, `**` below it. */
  modules: string;
  /** The modules that the room may import besides its own; `!` excludes. */
  imports: string[];
  /** The modules that it may import as well, but only by `import()`. */
  dynamic?: string[];
  /** The packages that it may import: a name, or a scheme such as `node:`. */
  packages?: string[];
  /** Whether it may import what is not named by a literal, which nothing then installs. */
  computed?: true;
}

const node = ["node:"];
const program = [...node, "@std/cli"];
const protocol = "src/protocol/**";
/** The public side of the transport, without the runtimes' folders. */
const transport = "src/transport/*.ts";
/** The same without the module that loads the runtimes' folders, and the entry. */
const transportCore = [
  transport,
  "!src/transport/detect.ts",
  "!src/transport/mod.ts",
];
const network = [transport, protocol];
/** Loaded only if TLS is used: it takes 5 to 9 ms. */
const tls = "src/transport/tls/**";

/** What each room of the command line may import from other parts of `src/`. */
const library = [
  protocol,
  transport,
  "src/server/**",
  "src/client/**",
  "src/doors/**",
];
/** The rooms of the command line from the bottom up; each may import those before it. */
const cliOrder = [
  // What the others share: an error class and a constant.
  "src/cli/usage_error.ts",
  "src/cli/version.ts",
  // The process: arguments, environment, streams, signals, on each runtime.
  "src/cli/host/**",
  // Everything that is printed: escapes, durations, the log's lines.
  "src/cli/output/**",
  // Flags, environment and file, parsed into the options of a server.
  "src/cli/config/**",
  // Error messages and exit codes, which name flags of the configuration.
  "src/cli/failure.ts",
  // What users have transferred: totals, a file of them, records.
  "src/cli/accounting/**",
  // One server in this process: start, reload, signals, shutdown.
  "src/cli/serve/**",
  // Several of them: each worker runs what `serve/` has.
  "src/cli/workers/**",
  // The HTTP server with metrics and health of whatever runs.
  "src/cli/admin/**",
  // The subcommands, which may start all of the above.
  "src/cli/commands/**",
];

/** The first room that matches a module is the module's room. */
const rooms: Room[] = [
  {
    modules: "mod.ts",
    imports: [protocol, transport, "src/server/**", "src/client/**"],
  },
  { modules: protocol, imports: [] },
  // Algorithms that Web Crypto does not have.
  { modules: "src/crypto/**", imports: [], packages: node },
  {
    modules: "src/transport/detect.ts",
    imports: [transport],
    dynamic: [
      "src/transport/deno/transport.ts",
      "src/transport/bun/transport.ts",
      "src/transport/node/transport.ts",
    ],
  },
  { modules: "src/transport/mod.ts", imports: [transport] },
  { modules: transport, imports: [] },
  {
    modules: "src/transport/common/**",
    imports: transportCore,
    packages: node,
  },
  {
    modules: "src/transport/tls/**",
    imports: [...transportCore, "src/transport/common/**"],
    packages: node,
  },
  {
    modules: "src/transport/deno/**",
    imports: [...transportCore, "src/transport/common/**"],
    // Deno has `node:net` and `node:dgram` as well, for what its own sockets lack.
    dynamic: ["src/transport/node/**", tls],
    packages: node,
  },
  {
    modules: "src/transport/bun/**",
    imports: [...transportCore, "src/transport/common/**"],
    dynamic: [tls],
    packages: node,
  },
  {
    modules: "src/transport/node/**",
    imports: [
      ...transportCore,
      "src/transport/common/**",
      "src/transport/tls/conn.ts", // which does not load `node:tls`
    ],
    dynamic: [tls, "!src/transport/tls/conn.ts"],
    packages: node,
  },
  {
    modules: "src/client/**",
    imports: [...network, "src/crypto/**"],
    dynamic: ["src/transport/tls/connect.ts"], // TLS over tunnels
  },
  {
    modules: "src/server/policy/policy.ts",
    imports: [
      protocol,
      "src/transport/errors.ts",
      "src/transport/signal.ts",
      "src/server/events.ts",
    ],
  },
  {
    modules: "src/server/policy/**",
    imports: [
      ...network,
      "src/server/accounting/**",
      "src/server/egress/**",
      "src/server/events.ts",
      "src/server/dialer.ts",
    ],
  },
  // Which of several addresses of this machine a session connects from.
  {
    modules: "src/server/egress/**",
    imports: [
      ...network,
      "src/crypto/**",
      "src/server/policy/block_map.ts",
      "src/server/client_key.ts",
      "src/server/events.ts",
    ],
  },
  {
    modules: "src/server/auth/helper_process.ts",
    imports: [transport],
    packages: node,
  },
  {
    modules: "src/server/auth/**",
    imports: [
      ...network,
      "src/crypto/**",
      "src/server/client_key.ts",
      // The attributes in users files.
      "src/server/accounting/parse_attributes.ts",
      "src/server/accounting/user_attributes.ts",
    ],
  },
  {
    modules: "src/server/limits/**",
    imports: [
      ...network,
      "src/server/client_key.ts",
    ],
  },
  {
    modules: "src/server/accounting/**",
    imports: [
      ...network,
      "src/server/limits/answer_in_time.ts",
      "src/server/limits/limits_error.ts",
    ],
  },
  {
    modules: "src/server/cluster/**",
    imports: [
      ...network,
      "src/server/auth/**",
      "src/server/limits/**",
      "src/server/client_key.ts",
      "src/server/events.ts",
      "src/server/options.ts",
      "src/server/serve.ts",
      "src/server/settings.ts",
    ],
  },
  { modules: "src/server/metrics/**", imports: [] },
  {
    modules: "src/server/settings/**",
    imports: [
      ...network,
      "src/server/accounting/**",
      "src/server/auth/**",
      "src/server/limits/**",
      "src/server/policy/**",
      "src/server/cluster/store.ts",
      "src/server/dialer.ts",
      "src/server/option_error.ts",
      "src/server/options.ts",
    ],
    // Loaded only with the option `tls`.
    dynamic: ["src/transport/tls/check_certificates.ts"],
  },
  {
    modules: "src/server/frontends/**",
    imports: [
      ...network,
      "src/server/auth/**",
      "src/server/events.ts",
      "src/server/settings.ts",
    ],
  },
  {
    modules: "src/server/commands/**",
    imports: [
      ...network,
      "src/server/policy/**",
      "src/server/limits/**",
      "src/server/frontends/frontend.ts",
      "src/server/client_key.ts",
      "src/server/dialer.ts",
      "src/server/events.ts",
      "src/server/settings.ts",
    ],
  },
  ...["src/server/mod.ts", "src/server/*.ts"].map((modules) => ({
    modules,
    imports: [
      ...network,
      "src/server/*.ts",
      "src/server/accounting/**",
      "src/server/auth/**",
      "src/server/commands/**",
      "src/server/egress/**",
      "src/server/frontends/**",
      "src/server/limits/**",
      "src/server/metrics/**",
      "src/server/policy/**",
      "src/server/settings/**",
      "src/server/cluster/store.ts", // the interface of an option
    ],
    dynamic: [
      "src/server/cluster/shared_limits.ts", // loaded only with that option
      // The server's entry is also the program.
      ...(modules === "src/server/mod.ts" ? ["src/cli/main.ts"] : []),
    ],
  })),
  // Clients of Redis, each loaded only on its runtime.
  {
    modules: "src/redis/npm_client.ts",
    imports: [transport, "src/redis/**"],
    packages: [...node, "redis"],
    computed: true, // the package `redis` on Deno
  },
  {
    modules: "src/redis/**",
    imports: [
      ...network,
      "src/server/accounting/local_usage_store.ts",
      "src/server/accounting/usage.ts",
      "src/server/accounting/usage_store.ts",
      "src/server/auth/lockout.ts",
      "src/server/client_key.ts",
      "src/server/cluster/store.ts",
      "src/server/limits/**",
      "src/server/options.ts",
    ],
    dynamic: ["src/redis/bun_client.ts", "src/redis/npm_client.ts"],
  },
  // The native side of GSSAPI: a foreign function interface for each runtime.
  {
    modules: "src/gssapi/ffi/**",
    imports: [
      protocol,
      transport,
      "src/gssapi/error.ts",
      "src/gssapi/koffi.ts",
    ],
    packages: [...node, "bun:"],
  },
  {
    modules: "src/gssapi/native/**",
    imports: [
      protocol,
      transport,
      "src/gssapi/error.ts",
      "src/gssapi/provider.ts",
      "src/gssapi/ffi/functions.ts",
    ],
  },
  {
    modules: "src/gssapi/system.ts",
    imports: [
      transport,
      "src/gssapi/error.ts",
      "src/gssapi/provider.ts",
      "src/gssapi/native/**",
      "src/gssapi/koffi.ts",
      "src/gssapi/ffi/functions.ts",
    ],
    dynamic: ["bun", "deno", "koffi", "node"].map((it) =>
      `src/gssapi/ffi/${it}.ts`
    ),
    packages: [...node, "koffi"],
  },
  {
    modules: "src/gssapi/*.ts",
    imports: [
      ...network,
      "src/client/auth.ts",
      "src/server/auth/method.ts",
    ],
  },
  {
    modules: "src/doors/bridge**",
    imports: [...network, "src/client/**", "src/server/**", "src/doors/**"],
    packages: node,
  },
  {
    modules: "src/doors/fetch/**",
    imports: [
      ...network,
      "src/client/**",
      "src/doors/**",
      "!src/doors/bridge**",
    ],
    // Needed on Deno and Bun only, and it loads the server.
    dynamic: ["src/doors/bridge/mod.ts", "src/doors/bridge/aliased.ts"],
    packages: node,
  },
  {
    modules: "src/doors/register/**",
    imports: [
      ...network,
      "src/client/**",
      "src/doors/socket/**",
      "src/doors/fetch/**", // fetch() and WebSockets of Deno
    ],
    // Loaded with the first connection that needs them: the first one loads the server.
    dynamic: ["src/doors/bridge/hand_over.ts", "src/transport/tls/connect.ts"],
    packages: node,
  },
  {
    modules: "src/doors/**",
    imports: [
      ...network,
      "src/transport/tls/connect.ts", // for proxies with TLS
      "src/client/**",
      "!src/doors/bridge**",
    ],
    packages: node,
  },
  ...cliOrder.map((modules, i) => ({
    modules,
    imports: [
      ...library,
      "src/gssapi/level.ts", // a type
      "src/redis/redis_url.ts",
      // Of the admin listener, and as the lock of a file.
      "src/transport/common/socket_file.ts",
      ...cliOrder.slice(0, i),
    ],
    dynamic: [ // loaded only with their options
      "src/gssapi/mod.ts",
      "src/redis/mod.ts",
      "src/transport/tls/check_certificates.ts",
    ],
    packages: program,
  })),
  { modules: "src/cli/*.ts", imports: ["src/**"], packages: program },
  // The client's program. What it knows of proxies is a library of its own.
  {
    modules: "src/tool/check/**",
    imports: [...network, "src/client/**", "src/tool/advice.ts"],
  },
  {
    modules: "src/tool/advice.ts",
    imports: [...network, "src/client/**", "src/gssapi/error.ts"],
  },
  {
    modules: "src/tool/public.ts",
    imports: [...network, "src/client/**", "src/tool/check/**"],
  },
  {
    modules: "src/tool/mod.ts",
    imports: ["src/tool/program.ts", "src/tool/public.ts"],
    dynamic: ["src/cli/main.ts"],
  },
  {
    modules: "src/tool/stdio/**",
    imports: [transport],
    packages: node,
  },
  {
    modules: "src/tool/args/**",
    imports: [...network, "src/client/**", "src/cli/**"],
    dynamic: [ // loaded only with their flags
      "src/gssapi/mod.ts",
      "src/transport/tls/check_certificates.ts",
    ],
    packages: program,
  },
  {
    modules: "src/tool/**",
    imports: [...library, "src/cli/**", "src/tool/**", "!src/cli/*main.ts"],
    packages: program,
  },
];

const rootEntries = [
  "LICENSE",
  "README.md",
  "deno.json",
  "mod.ts",
  "scripts",
  "src",
  "tests",
];
const ignoredEntries = ["node_modules", "binaries", "npm"];

function matchesOne(path: string, pattern: string): boolean {
  const source = pattern
    .replaceAll(".", "\\.")
    .replaceAll(/\*\*?/g, (it) => it === "*" ? "[^/]*" : ".*");
  return new RegExp(`^${source}$`).test(path);
}

function matches(path: string, patterns: readonly string[]): boolean {
  return patterns.some((it) => matchesOne(path, it)) &&
    !patterns.some((it) => it[0] === "!" && matchesOne(path, it.slice(1)));
}

/** The imports that a module's room does not allow; `path` is relative to the project's root. */
export function violationsOf(path: string, text: string): string[] {
  const room = rooms.find((it) => matchesOne(path, it.modules));
  if (room === undefined) return [`${path} is in no room`];
  const { modules, imports, dynamic: dynamically = [], packages = [] } = room;
  const { computed = false } = room;
  const allowed = [modules, ...imports];
  const found: string[] = [];
  for (const { specifier, dynamic } of importsOf(text)) {
    const refuse = (why: string) =>
      found.push(`${path} imports ${specifier ?? "a computed name"}: ${why}`);
    const target = targetOf(path, specifier);
    if (specifier === undefined) {
      if (!computed) refuse("write it as a literal");
    } else if (target === undefined) {
      const isAllowed = packages.some((it) =>
        it.endsWith(":")
          ? specifier.startsWith(it)
          : `${specifier}/`.startsWith(`${it}/`)
      );
      if (!isAllowed) refuse("this room does not import such a package");
    } else if (matches(target, dynamically)) {
      if (!dynamic) refuse("import it dynamically");
    } else if (!matches(target, allowed)) {
      refuse(`this room imports only ${allowed.join(", ")}`);
    }
  }
  return found;
}

async function* modulesIn(folder: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* modulesIn(path);
    else if (/\.[cm]?[jt]sx?$/.test(entry.name)) yield path;
  }
}

/** All violations of the project in the current folder. */
async function violations(): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of Deno.readDir(".")) {
    if (name.startsWith(".") || ignoredEntries.includes(name)) continue;
    if (!rootEntries.includes(name)) {
      found.push(`${name} does not belong in the root`);
    }
  }
  const modules = new Map<string, string>();
  for (const path of ["mod.ts", ...await Array.fromAsync(modulesIn("src"))]) {
    modules.set(path, await Deno.readTextFile(path));
  }
  for (const [path, text] of modules) found.push(...violationsOf(path, text));
  for (const circle of circlesOf(modules)) {
    found.push(`import circle: ${[...circle, circle[0]].join(" -> ")}`);
  }
  return found.sort();
}

if (import.meta.main) {
  const found = await violations();
  for (const violation of found) console.error(violation);
  Deno.exit(found.length > 0 ? 1 : 0);
}
