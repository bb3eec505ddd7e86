/** GSSAPI: sessions and attempts that end at any octet leave no context behind. */

import { assertEquals } from "@std/assert";
import { connect } from "../../src/client/mod.ts";
import { gssapi, gssapiLogin } from "../../src/gssapi/mod.ts";
import { encodeMessage, MESSAGE } from "../../src/protocol/gssapi.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { test } from "../support/harness.ts";
import { ANSWER, ScriptedGss, TICKET, token } from "../support/scripted_gss.ts";
import { startServer, startTarget } from "../support/server.ts";
import { join, octets } from "../support/table.ts";
import { readAll, until } from "../transport/contract.ts";

const { authentication, protection, data } = MESSAGE;

/** A message of either side with its number in the sequence. */
function sealed(
  type: typeof protection | typeof data,
  plain: Uint8Array,
  number: number,
): Uint8Array {
  return encodeMessage({ type, token: token(plain, type === data, number) });
}

const REQUEST = octets("05 01 00 01 7F 00 00 01 00 09");
const REPLY = octets("05 00 00 01 7F 00 00 01 00 09");

/** All octets of a client up to its request, and of a proxy up to its reply. */
const fromClient = join(
  octets("05 01 01"),
  encodeMessage({ type: authentication, token: TICKET }),
  sealed(protection, Uint8Array.of(2), 0),
  sealed(data, REQUEST, 1),
);
const fromProxy = join(
  octets("05 01"),
  encodeMessage({ type: authentication, token: ANSWER }),
  sealed(protection, Uint8Array.of(2), 0),
  sealed(data, REPLY, 1),
);

/** How a peer ends. */
const endings: Readonly<Record<string, (conn: Conn) => unknown>> = {
  FIN: (conn) => conn.closeWrite().catch(() => {}),
  "a reset": (conn) => conn.reset(),
  "a close": (conn) => conn.close(),
};

for (const [name, end] of Object.entries(endings)) {
  test(`gssapi() releases the context of a client that ends with ${name} after any octet`, async () => {
    const provider = new ScriptedGss();
    const server = await startServer({ auth: [await gssapi({ provider })] });
    for (let length = 1; length <= fromClient.length; length++) {
      const conn = await server.client();
      await conn.write(fromClient.subarray(0, length));
      await end(conn);
      await readAll(conn).catch(() => {});
      conn.close();
      await server.ended();
      assertEquals([length, provider.open], [length, 0]);
    }
    await server.close();
  });

  test(`gssapiLogin() releases the context when the proxy ends with ${name} after any octet`, async () => {
    const provider = new ScriptedGss();
    let length = 1;
    const proxy = await startTarget(async (conn) => {
      await conn.write(fromProxy.subarray(0, length));
      await end(conn);
      await readAll(conn).catch(() => {});
    });
    const { hostname, port } = proxy.addr;
    for (; length < fromProxy.length; length++) {
      const opening = connect(`socks5://${hostname}:${port}`, "127.0.0.1:9", {
        auth: [gssapiLogin({ provider })],
        timeout: 5_000,
      });
      const error = await opening.catch((it) => it);
      assertEquals([length, error.name], [length, "SocksError"]);
      await until(() => provider.open === 0);
    }
    await proxy.close();
  });
}

test("gssapiLogin() releases the context when the attempt is aborted after any octet", async () => {
  const provider = new ScriptedGss();
  let length = 1;
  const proxy = await startTarget((conn) =>
    conn.write(fromProxy.subarray(0, length)).catch(() => {})
  );
  const { hostname, port } = proxy.addr;
  for (; length < fromProxy.length; length++) {
    const aborting = new AbortController();
    const opening = connect(`socks5://${hostname}:${port}`, "127.0.0.1:9", {
      auth: [gssapiLogin({ provider })],
      signal: aborting.signal,
    });
    const failing = opening.catch((it) => it.code);
    await proxy.accepted();
    aborting.abort();
    assertEquals([length, await failing], [length, "aborted"]);
    await until(() => provider.open === 0);
  }
  await proxy.close();
});
