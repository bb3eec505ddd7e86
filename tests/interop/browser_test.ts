/** Chromium through bridges to a proxy with a login, and through the server's HTTP front end. */

import type { Visit, Visited } from "./browser_program.ts";
import "./browser_program.ts";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import process from "node:process";
import { bridge } from "../../src/doors/bridge/mod.ts";
import { NAMES, startProxy, startWeb, urlOf, type Web } from "../doors/web.ts";
import { issue } from "../support/certificates.ts";
import { test } from "../support/harness.ts";
import type { TestServer } from "../support/server.ts";
import { findProgram, missing, run } from "./programs.ts";
import { installed, missingRuntime, withProgramOn } from "./runtimes.ts";

const skip = missing("chromium") ?? missingRuntime("node") ??
  missingRuntime("deno");

/** Loads the pages in one browser. */
async function load(visits: readonly Visit[]): Promise<Visited[]> {
  const folder = await installed("playwright-core@1.65.1");
  return await withProgramOn("node", "browser", async ([command, ...args]) => {
    const chromium = findProgram("chromium") ?? "chromium";
    const values = [folder, chromium, JSON.stringify(visits)];
    const { code, stdout, stderr } = await run(command, [...args, ...values]);
    assertEquals([code, stderr], [0, ""]);
    return JSON.parse(stdout);
  });
}

interface World {
  readonly web: Web;
  readonly secure: Web;
  readonly proxy: TestServer;
  /** The URLs of the page, by names that only the proxy knows. */
  readonly urls: readonly [http: string, https: string];
}

async function withWorld(use: (world: World) => Promise<void>): Promise<void> {
  const web = await startWeb();
  const secure = await startWeb(issue({
    subject: "/CN=two",
    extensions: ["subjectAltName=DNS:two.test"],
  }));
  const proxy = await startProxy();
  const [one, two] = NAMES;
  try {
    await use({
      web,
      secure,
      proxy,
      urls: [
        `http://${one}:${web.port}/page.html`,
        `https://${two}:${secure.port}/page.html`,
      ],
    });
  } finally {
    await proxy.close();
    await secure.close();
    await web.close();
  }
}

/** Passes if everything on the page was loaded, and only by the proxy. */
function assertLoaded(visited: readonly Visited[], world: World): void {
  for (const { error, status, text } of visited) {
    assertEquals([error, status], [undefined, 200]);
    assertEquals(text?.trim(), "page, script, fetch, socket");
  }
  assertEquals(visited.length, 2);
  const { web, secure, proxy } = world;
  let opened = 0;
  for (const event of proxy.events) {
    if (event.type !== "request") continue;
    opened++;
    assertEquals(event.session.user, "al");
    assert(NAMES.includes(event.session.target!.hostname));
  }
  assert(opened >= web.connections + secure.connections, `${opened}`);
}

test(
  "bridge() leads Chromium by SOCKS and HTTP to a proxy with a login, which Chromium itself cannot",
  () =>
    withWorld(async (world) => {
      const local = await bridge(urlOf(world.proxy));
      const { addr: { port } } = local;
      const direct = `socks5://127.0.0.1:${world.proxy.server.addr.port}`;
      for (const scheme of ["socks5", "http"]) {
        const proxy = { server: `${scheme}://127.0.0.1:${port}` };
        const screenshot = process.env.SCREENSHOT;
        assertLoaded(
          await load(world.urls.map((url) => ({ url, proxy, screenshot }))),
          world,
        );
      }
      const before = world.web.connections;
      const [{ error = "" }] = await load([
        { url: world.urls[0], proxy: { server: direct } },
      ]);
      assertStringIncludes(error, "ERR_SOCKS_CONNECTION_FAILED");
      assertEquals(world.web.connections, before);
      await local.close();
    }),
  { skip },
);

test(
  "bridge() asks Chromium for its own login",
  () =>
    withWorld(async (world) => {
      const auth = { username: "browser", password: "own" };
      const local = await bridge(urlOf(world.proxy), { auth });
      const proxy = { server: local.url, ...auth };
      assertLoaded(
        await load(world.urls.map((url) => ({ url, proxy }))),
        world,
      );
      const wrong = { ...proxy, password: "wrong" };
      const before = world.web.connections;
      const [{ error, status }] = await load([
        { url: world.urls[0], proxy: wrong },
      ]);
      assert(error !== undefined || status === 407, `${error} ${status}`);
      assertEquals(world.web.connections, before);
      await local.close();
    }),
  { skip },
);

test(
  "serve() serves Chromium by HTTP, with a login",
  () =>
    withWorld(async (world) => {
      const { port } = world.proxy.server.addr;
      const proxy = {
        server: `http://127.0.0.1:${port}`,
        username: "al",
        password: "p@ss",
      };
      assertLoaded(
        await load(world.urls.map((url) => ({ url, proxy }))),
        world,
      );
    }),
  { skip },
);
