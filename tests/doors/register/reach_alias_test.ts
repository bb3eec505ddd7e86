/** The way from `register` on Deno to the targets of WebSockets. */

import { assert, assertRejects } from "@std/assert";
import { reachAlias } from "../../../src/doors/register/reach_alias.ts";
import { runtime, test } from "../../support/harness.ts";

test(
  "reachAlias() ends a connection whose WebSocket is closed before the handshake of TLS",
  async () => {
    const { Deno: deno } = globalThis as unknown as {
      Deno: { connectTls: unknown };
    };
    const { connectTls } = deno;
    const closing = new AbortController();
    let isClosed = false;
    let fail = () => {};
    deno.connectTls = () => {
      closing.abort();
      return Promise.resolve({
        handshake: () =>
          isClosed
            ? Promise.reject(new Error("closed"))
            : new Promise<void>((_, reject) => fail = () => reject()),
        close() {
          isClosed = true;
          fail();
        },
      });
    };
    const waiting = setTimeout(() => fail(), 2_000);
    try {
      const target = { hostname: "one.test", port: 443 };
      const alias = { target, isSecure: true, signal: closing.signal };
      const { signal } = new AbortController();
      await assertRejects(() => reachAlias(alias, signal));
      assert(isClosed);
    } finally {
      clearTimeout(waiting);
      deno.connectTls = connectTls;
    }
  },
  { skip: runtime === "deno" ? undefined : "only for Deno's WebSocket" },
);
