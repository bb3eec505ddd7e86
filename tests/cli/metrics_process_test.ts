import { assert, assertEquals, assertMatch } from "@std/assert";
import { connect } from "../../src/client/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { readFileSync } from "node:fs";
import process from "node:process";
import { runtime, test } from "../support/harness.ts";
import { LOOPBACK, visit, withEcho } from "./echo.ts";
import { type Program, runProgram, withProgram } from "../support/spawn.ts";

const ARGS = ["--port", "0", "--metrics", "0"];

/** Sends an HTTP request and returns the response. */
async function request(
  url: string,
  path: string,
  method = "GET",
): Promise<{ status: number; head: string; body: string }> {
  const { hostname, port } = new URL(url);
  const transport = await detectTransport();
  const conn = await transport.connect({ hostname, port: Number(port) });
  const text = `${method} ${path} HTTP/1.1\r\nHost: x\r\n` +
    "Connection: close\r\n\r\n";
  await conn.write(new TextEncoder().encode(text));
  const decoder = new TextDecoder();
  let response = "";
  for (let chunk; (chunk = await conn.read());) {
    response += decoder.decode(chunk);
  }
  conn.close();
  const [head, body] = response.split("\r\n\r\n");
  return { status: Number(head.split(" ")[1]), head, body };
}

async function listening(
  program: Program,
): Promise<{ proxy: string; metrics: string; pids?: number[] }> {
  const line = JSON.parse(await program.line(/"listening"/));
  return { ...line, proxy: line.url };
}

/** Reads the value of a series. */
async function value(metrics: string, series: string): Promise<number> {
  const { body } = await request(metrics, "/metrics");
  const line = body.split("\n").find((it) => it.startsWith(`${series} `));
  assert(line, `${series} is not in:\n${body}`);
  return Number(line.slice(series.length));
}

test("--metrics serves metrics and health", async () => {
  await withEcho((target) =>
    withProgram([...ARGS, "--log", "off"], async (program) => {
      const line = await program.line(/listens on/);
      const [, proxy] = /\((socks5:[^\s,)]+)/.exec(line)!;
      const [, metrics] = /, metrics on (\S+)$/.exec(line)!;
      assertMatch(metrics, /^http:\/\/127\.0\.0\.1:\d+\/metrics$/);
      await visit(proxy, target);
      let response = await request(metrics, "/metrics?x=y");
      // The client notices the end of the session before the server does.
      while (!/_ended_total\{reason="finished"\} 1$/m.test(response.body)) {
        response = await request(metrics, "/metrics?x=y");
      }
      const { status, head, body } = response;
      assertEquals(status, 200);
      assertMatch(head, /^content-type: text\/plain; version=0\.0\.4/im);
      assertMatch(body, /^socks5_build_info\{version="\d.*"\} 1$/m);
      assertMatch(body, /^socks5_relayed_bytes_total\{direction="sent"\} 1$/m);
      assertMatch(body, /^socks5_reply_duration_seconds_count 1$/m);
      assertMatch(body, /^process_cpu_seconds_total 0\.\d+$/m);
      assertMatch(body, /^process_resident_memory_bytes \d{7,}$/m);
      const counted = /^process_open_fds \d+$/m.test(body);
      assertEquals(counted, runtime !== "deno" && process.platform === "linux");
      assert(!body.includes(LOOPBACK) && !body.includes(String(target)));
      assertEquals((await request(metrics, "/health")).status, 200);
    })
  );
});

test("--metrics responds with 404 to other paths, and with 405 to other methods", async () => {
  await withProgram(ARGS, async (program) => {
    const { metrics } = await listening(program);
    assertEquals((await request(metrics, "/")).status, 404);
    assertEquals((await request(metrics, "/metrics/")).status, 404);
    const { status, head } = await request(metrics, "/metrics", "POST");
    assertEquals(status, 405);
    assertMatch(head, /^allow: GET, HEAD$/im);
    const length = (await request(metrics, "/health", "HEAD")).head;
    assertMatch(length, /^content-length: 8$/im);
  });
});

test("--metrics reports during the shutdown that the server does not accept connections", async () => {
  await withEcho((target) =>
    withProgram(ARGS, async (program) => {
      const { proxy, metrics } = await listening(program);
      const conn = await connect(proxy, {
        hostname: LOOPBACK,
        port: target,
      });
      program.kill("SIGTERM");
      await program.line(/"shutdown"/);
      assertEquals((await request(metrics, "/health")).status, 503);
      const open = 'socks5_active_sessions{phase="relay"}';
      assertEquals(await value(metrics, open), 1);
      conn.close();
      const { code, stderr } = await program.ended;
      assertEquals([code, stderr], [0, ""]);
    })
  );
});

test("--metrics ends the program with 3 when the port is in use", async () => {
  await withEcho(async (port) => {
    const args = ["--port", "0", "--metrics", String(port)];
    const { code, stdout, stderr } = await runProgram(args);
    assertEquals([code, stdout], [3, ""]);
    assertEquals(
      stderr,
      `socks5: 127.0.0.1:${port} is in use: ` +
        "choose another port for --metrics\n",
    );
  });
});

test("--metrics ends the program with 1 when the address is not its own", async () => {
  const args = ["--port", "0", "--metrics", "192.0.2.1:0"];
  const { code, stderr } = await runProgram(args);
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^socks5: cannot listen on 192\.0\.2\.1:0 for --metrics: .+\n$/,
  );
});

/** The resident memory of a process, in bytes. */
function residentMemory(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
}

/** Enough sessions that they practically never all reach the same worker. */
const MANY = 40;

test("--metrics adds up the metrics of all workers, including those that have ended", async () => {
  await withEcho((target) =>
    withProgram([...ARGS, "--workers", "2"], async (program) => {
      const { proxy, metrics, pids } = await listening(program);
      await Promise.all(
        Array.from({ length: MANY }, () => visit(proxy, target)),
      );
      const lines = await program.lines(/"session-end"/, MANY);
      const served = new Set(lines.map((it) => JSON.parse(it).worker));
      assertEquals([...served].sort(), [1, 2]);
      const total = () => value(metrics, "socks5_sessions_started_total");
      assertEquals(await total(), MANY);
      const finished = 'socks5_sessions_ended_total{reason="finished"}';
      assertEquals(await value(metrics, finished), MANY);
      assertEquals(await value(metrics, "socks5_workers"), 2);
      const replies = "socks5_reply_duration_seconds_count";
      assertEquals(await value(metrics, replies), MANY);
      if (runtime !== "deno") { // its workers are threads
        const memory = await value(metrics, "process_resident_memory_bytes");
        assert(memory > 2 * residentMemory(pids![0]), `${memory}`);
      }
      if (runtime === "deno") return; // a thread cannot be killed from outside
      process.kill(pids![0], "SIGKILL");
      await program.line(/"worker-started"/);
      assertEquals(await total(), MANY);
      assertEquals(await value(metrics, "socks5_worker_exits_total"), 1);
      await visit(proxy, target);
      assertEquals(await total(), MANY + 1);
    }, { mayShare: true })
  );
});
