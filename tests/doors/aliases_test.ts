/** The private bridge of Deno's WebSockets, as other programs of the machine see it. */

import { assertEquals, assertRejects } from "@std/assert";
import { connect, SocksError } from "../../src/client/mod.ts";
import { serveAliases } from "../../src/doors/bridge/aliased.ts";
import { type Alias, Aliases } from "../../src/doors/fetch/aliases.ts";
import { NetError } from "../../src/transport/errors.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { runtime, test } from "../support/harness.ts";
import { echo, startTarget, type Target } from "../support/server.ts";

interface Lab {
  readonly target: Target;
  readonly aliases: Aliases;
  /** Creates a login. */
  login(): string;
  /** The URL of the bridge. */
  url(login: string): string;
  readonly reached: Alias[];
}

async function withBridge(use: (lab: Lab) => Promise<void>): Promise<void> {
  const transport = await detectTransport();
  const target = await startTarget(echo);
  const aliases = new Aliases();
  const reached: Alias[] = [];
  const { port, close } = await serveAliases(aliases, (alias, signal) => {
    reached.push(alias);
    return transport.connect({ ...alias.target, signal });
  });
  const { signal } = new AbortController();
  try {
    await use({
      ...{ target, aliases, reached },
      url: (login) => `socks5h://${login}127.0.0.1:${port}`,
      login() {
        const alias = { target: target.addr, isSecure: false, signal };
        const [client, username] = aliases.client(alias, port);
        client.close();
        return `${username}:-@`;
      },
    });
  } finally {
    await close();
    await target.close();
  }
}

async function assertRefused(
  url: string,
  expected = "login-failed",
): Promise<void> {
  const { code } = await assertRejects(
    () => connect(url, "one.test:80"),
    SocksError,
  );
  assertEquals(code, expected);
}

const options = {
  skip: runtime === "deno" ? undefined : "only for Deno's WebSocket",
};

test(
  "serveAliases() connects to the target of the login, once",
  () =>
    withBridge(async ({ target, url, login, reached }) => {
      const [first, second] = [login(), login()];
      const conn = await connect(url(first), "one.test:80");
      await conn.write(Uint8Array.of(1));
      assertEquals(await conn.read(), Uint8Array.of(1));
      conn.close();
      await assertRefused(url(first));
      (await connect(url(second), "192.0.2.1:1")).close();
      const { addr } = target;
      assertEquals(reached.map((it) => it.target), [addr, addr]);
    }),
  options,
);

test(
  "serveAliases() connects once for two clients with one login",
  () =>
    withBridge(async ({ url, login, reached }) => {
      const name = url(login());
      const results = await Promise.allSettled(
        [1, 2, 3].map(() => connect(name, "one.test:80")),
      );
      const conns = results.flatMap((it) =>
        it.status === "fulfilled" ? [it.value] : []
      );
      for (const conn of conns) conn.close();
      assertEquals([conns.length, reached.length], [1, 1]);
    }),
  options,
);

test(
  "serveAliases() refuses clients without a valid login",
  () =>
    withBridge(async ({ aliases, url, login, reached }) => {
      const name = login();
      await assertRefused(url(""), "no-method");
      for (const other of ["al:-@", `${name.replace(/^./, "x")}`]) {
        await assertRefused(url(other));
      }
      aliases.clear();
      await assertRefused(url(name));
      assertEquals(reached, []);
    }),
  options,
);

test("Aliases.connect() keeps the error in the alias", async () => {
  const aliases = new Aliases();
  const { signal } = new AbortController();
  const target = { hostname: "one.test", port: 80 };
  const alias: Alias = { target, isSecure: false, signal };
  const [client, username] = aliases.client(alias, 1);
  client.close();
  const error = new NetError("refused", "a test");
  await assertRejects(
    () => aliases.connect(username, () => Promise.reject(error)),
    NetError,
  );
  assertEquals(alias.error, error);
  await assertRejects(
    () => aliases.connect(username, () => Promise.resolve()),
    NetError,
    "used",
  );
}, options);
