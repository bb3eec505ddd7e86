/** The way from `register` on Deno to the targets of WebSockets. */

import { assert, assertRejects } from "@std/assert";
import { reachAlias } from "../../../src/doors/register/reach_alias.ts";
import { runtime, test } from "../../support/harness.ts";
import { startTarget } from "../../support/server.ts";
import { until } from "../../transport/contract.ts";

test(
  "reachAlias() ends the connection to a silent target when its WebSocket is closed",
  async () => {
    const target = await startTarget();
    const closing = new AbortController();
    const { signal } = new AbortController();
    const alias = {
      target: { hostname: "127.0.0.1", port: target.addr.port },
      isSecure: true,
      signal: closing.signal,
    };
    const reached = assertRejects(() => reachAlias(alias, signal));
    await until(() => target.conns.length === 1);
    const [conn] = target.conns;
    assert(await conn.read() !== null); // the first message of TLS
    let isEnded = false;
    const end = conn.read().catch(() => null).then(() => isEnded = true);
    closing.abort();
    await reached;
    await until(() => isEnded);
    await target.close();
    await end;
  },
  { skip: runtime === "deno" ? undefined : "only for Deno's WebSocket" },
);
