/**
 * The comparison of clients: this library's doors and the packages of npm that most programs
 * use for the same.
 *
 * @module
 */

import { join } from "node:path";
import { root } from "../files.ts";
import { npmInstall } from "../npm_install.ts";
import { run } from "../run.ts";
import type { Runtime } from "../runtimes.ts";
import { stdFlags } from "../std.ts";
import type { ClientMode, Task } from "./client_program.ts";
import { formatRatio, median } from "./figures.ts";
import { freePort, startServer } from "./running.ts";
import { runtimeTitle } from "./servers.ts";

// Later versions of socks-proxy-agent are ES modules, which Deno does not load from a folder.
const packages = ["socks@2.8.11", "socks-proxy-agent@8.0.5"];

/** The modes: the title of the column, and the number of operations in a round. */
const modes: Record<ClientMode, { title: string; count: number }> = {
  dial: { title: "a connection, against `socks`", count: 1_000 },
  http: {
    title: "a kept `http:` request, against `socks-proxy-agent`",
    count: 3_000,
  },
  https: { title: "the same with `https:`", count: 3_000 },
};
const modeNames = Object.keys(modes) as ClientMode[];

/** How many operations each client does before the first round. */
const WARM_UP = 3_000;

/** The medians of a runtime: the processor time of both in seconds, and the ratio. */
interface Figure {
  ours: number;
  peer: number;
  ratio: number;
}

/** Measures all clients on these runtimes, and returns a table in Markdown. */
export async function compareClients(
  runtimes: readonly Runtime[],
  rounds: number,
  folder: string,
  log: (line: string) => void,
): Promise<string> {
  const installed = await npmInstall(...packages);
  if (installed === undefined) throw new Error("npm is not reachable");
  const program = await bundleProgram(folder);
  await using targets = await startTargets(folder);
  const proxy = freePort();
  const command = ["microsocks", "-i", "127.0.0.1", "-p", `${proxy}`];
  await using _proxy = await startServer(command, proxy, folder);
  const rows: string[] = [];
  for (const runtime of runtimes) {
    const cells: string[] = [];
    for (const mode of modeNames) {
      const figure = await measure(runtime, program, {
        mode,
        folder: installed,
        proxy,
        target: mode === "https" ? targets.secure : targets.plain,
        count: modes[mode].count,
        warmUp: WARM_UP,
        rounds,
      });
      cells.push(format(figure));
      log(`${runtime.name} ${mode}: ${cells.at(-1)}`);
    }
    rows.push(`| ${[runtimeTitle(runtime), ...cells].join(" | ")} |`);
  }
  const titles = modeNames.map((mode) => modes[mode].title);
  return [
    `| | ${titles.join(" | ")} |`,
    `| --- | ${titles.map(() => "---:").join(" | ")} |`,
    ...rows,
  ].join("\n");
}

/** The explanation of the table. */
export const clientNotes =
  `Processor time of the client's process in µs, ours / theirs, ` +
  `after ${
    WARM_UP.toLocaleString("en-US")
  } operations to warm up; eight at a time. In ` +
  `parentheses the median of the ratios of all rounds, in which the clients took turns. The ` +
  `proxy is microsocks.`;

function format({ ours, peer, ratio }: Figure): string {
  const [a, b] = [ours, peer].map((it) => (it * 1e6).toFixed(0));
  return `${a} / ${b} (**${formatRatio(ratio)}**)`;
}

async function measure(
  { name, path }: Runtime,
  program: string,
  task: Task,
): Promise<Figure> {
  const flags = name === "deno" ? ["run", "-A", "--quiet"] : [];
  const args = [...flags, program, JSON.stringify(task)];
  const { success, stdout, stderr } = await run(path, args);
  if (!success) throw new Error(`${name} ${task.mode}: ${stderr}`);
  const values = stdout.trim().split("\n").map((line) =>
    JSON.parse(line) as [number, number]
  );
  return {
    ours: median(values.map(([it]) => it)),
    peer: median(values.map(([, it]) => it)),
    ratio: median(values.map(([ours, peer]) => ours / peer)),
  };
}

async function bundleProgram(folder: string): Promise<string> {
  const program = join(folder, "client_program.mjs");
  const source = join(root, "scripts", "bench", "client_program.ts");
  const args = ["bundle", "--quiet", "--platform=deno", "-o", program];
  const { success, stderr } = await run(Deno.execPath(), [
    ...args,
    ...await stdFlags(),
    source,
  ]);
  if (!success) throw new Error(`deno bundle failed:\n${stderr}`);
  return program;
}

interface Targets extends AsyncDisposable {
  plain: number;
  secure: number;
}

async function startTargets(folder: string): Promise<Targets> {
  const [cert, key] = ["target.pem", "target.key"].map((it) =>
    join(folder, it)
  );
  const subject = ["-subj", "/CN=target"];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
  const files = ["-keyout", key, "-out", cert];
  const made = await run("openssl", [
    ...["req", "-x509", "-nodes", "-days", "2"],
    ...curve,
    ...subject,
    ...files,
  ]);
  if (!made.success) throw new Error(`openssl failed:\n${made.stderr}`);
  const program = join(root, "scripts", "bench", "client_target.ts");
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", program, cert, key],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  const ports = JSON.parse(new TextDecoder().decode(value));
  return {
    ...ports,
    async [Symbol.asyncDispose]() {
      child.kill();
      await child.status;
      await reader.cancel();
    },
  };
}
