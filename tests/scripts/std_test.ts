import { assertEquals, assertMatch } from "@std/assert";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { runtime, test } from "../support/harness.ts";

const skip = runtime === "deno" ? undefined : "only Deno runs the scripts";

const PACKAGE = "/@std/cli";
const STANDINS = "--import-map=scripts/standins/import_map.json\n";

/** A copy of the script with its own cache, and a registry. */
interface Setup {
  /** The paths that the registry was asked for. */
  readonly asked: string[];
  /** Runs the script. */
  run(...names: string[]): Promise<{ stdout: string; stderr: string }>;
}

/** Calls `use` with a new checkout; `answer` is the registry. */
async function withCheckout(
  answer: RequestListener,
  use: (setup: Setup) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "std-"));
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url!);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const { STD: _, ...inherited } = process.env;
  const env = {
    ...inherited,
    NO_COLOR: "1",
    DENO_DIR: join(folder, "cache"),
    JSR_URL: `http://127.0.0.1:${port}/`,
  };
  try {
    await mkdir(join(folder, "scripts"));
    for (const path of ["deno.json", "scripts/std.ts"]) {
      await cp(join(process.cwd(), path), join(folder, path));
    }
    const run: Setup["run"] = (...names) =>
      new Promise((resolve, reject) => {
        const args = ["run", "-A", "--no-lock", "scripts/std.ts", ...names];
        const options = { cwd: folder, env };
        execFile(process.execPath, args, options, (error, stdout, stderr) => {
          if (error) reject(error);
          else resolve({ stdout, stderr });
        });
      });
    await use({ asked, run });
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true });
  }
}

test(
  "std.ts chooses the stand-ins, says so and remembers it when JSR does not answer",
  async () => {
    await withCheckout(() => {}, async ({ asked, run }) => {
      const start = performance.now();
      const first = await run("@std/cli");
      const seconds = (performance.now() - start) / 1000;
      assertEquals(first.stdout, STANDINS);
      assertMatch(first.stderr, /^Loading jsr:@std\/cli.* from 127\.0\.0\.1:/);
      assertMatch(first.stderr, /^JSR is not reachable: using scripts/m);
      // It waits for 3 s; the rest is the start of deno on a busy machine.
      assertEquals(seconds < 10, true, `${seconds} s`);
      assertEquals(asked.splice(0), [`${PACKAGE}/meta.json`]);

      const second = await run("@std/cli");
      assertEquals(second.stdout, STANDINS);
      assertMatch(second.stderr, /^JSR was not reachable at \d\d:\d\d: using /);
      assertEquals(asked, []);
    });
  },
  { skip },
);

/** A registry with one package, whose only module is empty. */
const registry: RequestListener = ({ url }, response) => {
  const source = "export {};\n";
  const checksum = createHash("sha256").update(source).digest("hex");
  const version = "1.0.28";
  const path = "/parse_args.ts";
  const contents: Record<string, unknown> = {
    [`${PACKAGE}/meta.json`]: {
      scope: "std",
      name: "cli",
      latest: version,
      versions: { [version]: {} },
    },
    [`${PACKAGE}/${version}_meta.json`]: {
      manifest: {
        [path]: { size: source.length, checksum: `sha256-${checksum}` },
      },
      exports: { "./parse-args": `.${path}` },
    },
    [`${PACKAGE}/${version}${path}`]: source,
  };
  const content = contents[url!];
  if (content === undefined) response.statusCode = 404;
  const isText = typeof content === "string";
  response.setHeader(
    "content-type",
    isText ? "text/typescript" : "application/json",
  );
  response.end(isText ? content : JSON.stringify(content ?? null));
};

test(
  "std.ts loads only the named packages from JSR when it answers",
  async () => {
    await withCheckout(registry, async ({ asked, run }) => {
      assertEquals((await run("@std/cli")).stdout, "\n");
      const others = asked.filter((it) => !it.startsWith(`${PACKAGE}/`));
      assertEquals(others, []);
      // Now it is cached: nothing is said, and nothing is asked.
      asked.length = 0;
      assertEquals(await run("@std/cli"), { stdout: "\n", stderr: "" });
      assertEquals(asked, []);
    });
  },
  { skip },
);
