/** Prometheus reads the metrics of the program, and answers the queries of the dashboard. */

import { assert, assertEquals } from "@std/assert";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import * as net from "node:net";
import { join } from "node:path";
import { connect, udpAssociate } from "../../src/client/mod.ts";
import { LOOPBACK, visit, withEcho } from "../cli/echo.ts";
import { readDashboard } from "../support/dashboard.ts";
import { runtime, test } from "../support/harness.ts";
import { type Program, withProgram } from "../support/spawn.ts";
import { closedPort } from "../support/server.ts";
import { missing, run, until, withFolder, withListening } from "./programs.ts";

/** The result of a query: labels, time and value of each series. */
interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly warnings?: readonly string[];
  readonly data: {
    readonly result: readonly {
      readonly metric: Readonly<Record<string, string>>;
      readonly value: readonly [time: number, value: string];
    }[];
  };
}

/** As Grafana fills them in, with All for the variables. */
function filledIn(expr: string): string {
  return expr.replaceAll("$__rate_interval", "1m")
    .replaceAll(/\$(job|instance)/g, ".*");
}

async function ask(prometheus: string, expr: string): Promise<Answer> {
  const query = new URLSearchParams({ query: filledIn(expr) });
  const answer = await fetch(`${prometheus}/api/v1/query?${query}`, {
    headers: { connection: "close" },
  });
  return await answer.json();
}

/** Whether the answer has series, each with the labels of the legend and a number. */
function isKnown({ data: { result } }: Answer, legend = ""): boolean {
  const labels = [...legend.matchAll(/\{\{(\w+)\}\}/g)].map(([, it]) => it);
  return result.length > 0 &&
    result.every(({ metric, value: [, value] }) =>
      value !== "NaN" && labels.every((it) => it in metric)
    );
}

/** Something of everything that is counted. */
async function causeEvents(port: number, target: number): Promise<void> {
  const proxy = `socks5://alice:secret@${LOOPBACK}:${port}`;
  const refused = (url: string, port: number) =>
    connect(url, { hostname: LOOPBACK, port }).then(
      () => assert(false),
      () => {},
    );
  await visit(proxy, target);
  await refused(`socks5://alice:wrong@${LOOPBACK}:${port}`, target);
  await refused(proxy, await closedPort()); // no rule allows it
  await refused(proxy, 1); // a rule allows it, but nobody listens
  const association = await udpAssociate(proxy);
  await association.send(new Uint8Array(9), {
    hostname: LOOPBACK,
    port: target,
  });
  const sockets = Array.from({ length: 5 }, () => net.connect(port, LOOPBACK));
  await Promise.all(sockets.map((it) => once(it, "connect")));
  await Promise.any(sockets.map((it) => once(it, "close"))); // one is too many
  for (const socket of sockets) socket.destroy();
  association.close();
}

async function checkExposition(url: string): Promise<void> {
  const answer = await fetch(url, { headers: { connection: "close" } });
  const stdin = await answer.text();
  const { code, stdout, stderr } = await run(
    "promtool",
    ["check", "metrics"],
    { stdin },
  );
  assertEquals([code, stdout, stderr], [0, "", ""]);
}

const configuration = (address: string) => `
global: { scrape_interval: 200ms, scrape_timeout: 200ms }
scrape_configs:
- job_name: socks5
  static_configs: [{ targets: ["${address}"] }]
`;

/** Runs Prometheus, which scrapes an address, with its URL. */
function withPrometheus(
  address: string,
  use: (url: string) => Promise<void>,
): Promise<void> {
  return withFolder(async (folder) => {
    const file = join(folder, "prometheus.yml");
    await writeFile(file, configuration(address));
    const args = (port: number) => [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=${LOOPBACK}:${port}`,
      "--log.level=error",
    ];
    await withListening(
      "prometheus",
      args,
      (port) => use(`http://${LOOPBACK}:${port}`),
    );
  });
}

/** Metrics that are not reported: Deno would need all permissions for the number of files. */
const UNKNOWN = runtime === "deno" ? ["process_open_fds"] : [];

for (const workers of [1, 2]) {
  const unknown = [
    ...UNKNOWN,
    ...workers === 1 ? ["socks5_worker_exits_total"] : [],
  ];
  const flags = [
    ...["--metrics", "0", "--port", "0", "--max-sessions-per-client", "4"],
    ...["--workers", `${workers}`, "--user", "alice:secret"],
  ];
  const check = async (program: Program, target: number) => {
    const port = await program.port();
    const [url] = /http:\S+\/metrics/.exec(await program.line(/metrics/))!;
    await withPrometheus(new URL(url).host, async (prometheus) => {
      const has = async (expr: string, legend?: string) =>
        isKnown(await ask(prometheus, expr), legend);
      await causeEvents(port, target);
      // The rate of a series needs two samples of it.
      await until("the first scrape", () => has("socks5_logins_total"));
      await causeEvents(port, target);
      await checkExposition(url);
      for (const { expr, legend } of readDashboard().queries) {
        const { status, error, warnings } = await ask(prometheus, expr);
        assertEquals([status, error, warnings], [
          "success",
          undefined,
          undefined,
        ]);
        if (unknown.some((it) => expr.includes(it))) continue;
        await until(`a value of ${expr}`, () => has(expr, legend));
      }
    });
  };
  const name = `Prometheus answers every query of the dashboard about ${
    workers === 1 ? "one server" : `${workers} workers`
  }`;
  test(name, () =>
    withEcho((target) => {
      const ports = [target, 1]; // nobody listens on the latter
      const rules = ports.flatMap((it) => ["--allow", `${LOOPBACK}:${it}`]);
      return withProgram(
        [...flags, ...rules],
        (program) => check(program, target),
        { mayShare: workers > 1 },
      );
    }), { skip: missing("prometheus", "promtool") });
}
