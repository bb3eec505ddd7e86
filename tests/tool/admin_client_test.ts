/** The client of the Admin API, with servers that are none or lie. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { AdminClient } from "../../src/tool/admin/client.ts";
import { ToolError } from "../../src/tool/commands/failure.ts";
import { test } from "../support/harness.ts";
import { runProgram } from "../support/spawn.ts";

/** A server that answers each request in the same way. */
async function withServer(
  answer: (response: ServerResponse) => void,
  use: (port: number) => Promise<void>,
): Promise<void> {
  const server = createServer((_, response) => answer(response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await use((server.address() as AddressInfo).port);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

function clientOf(port: number, timeout?: number): AdminClient {
  const to = { hostname: "127.0.0.1", port };
  return new AdminClient({ to, text: "it", token: undefined }, timeout);
}

for (const text of ["{}", "[]", "null", "1", "<html>", '{"error":{}}']) {
  test(`AdminClient explains that a server which answers ${text} is another one`, () =>
    withServer((response) => response.end(text), async (port) => {
      const asked = clientOf(port).ask<{ sessions: [] }>(
        "GET",
        "/sessions",
        "sessions",
      );
      const { message } = await assertRejects(() => asked, ToolError);
      assertEquals(message, "it is not the --admin of a socks5 server");
    }));
}

test("AdminClient does not wait for an answer that comes byte by byte", () => {
  let sending: ReturnType<typeof setInterval> | undefined;
  return withServer((response) => {
    response.write("[");
    sending = setInterval(() => response.write(" "), 20);
  }, async (port) => {
    const asked = clientOf(port, 300).ask<{ sessions: [] }>(
      "GET",
      "/sessions",
      "sessions",
    );
    const { message } = await assertRejects(() => asked, ToolError);
    assert(message.startsWith("no answer from it ("), message);
  }).finally(() => clearInterval(sending));
});

test("socks5 sessions --json prints no character of a name that a terminal interprets", () => {
  const user = "\x1b]0;\x07\x9b31m\u202ex\u2028\u{e0041}\ud800";
  const page = { total: 1, matched: 1, sessions: [{ user }] };
  return withServer(
    (response) => response.end(JSON.stringify(page)),
    async (port) => {
      const args = ["sessions", `--admin=${port}`, "--json"];
      const { code, stdout, stderr } = await runProgram(args, {});
      assertEquals([code, stderr], [0, ""]);
      assert(/^[\n\x20-\x7e]+$/.test(stdout), JSON.stringify(stdout));
      assertEquals(JSON.parse(stdout), page);
    },
  );
});
