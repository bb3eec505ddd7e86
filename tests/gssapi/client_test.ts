/** GSSAPI of the client, with a mechanism that the tests compute. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  bind,
  type ClientOptions,
  connect,
  SocksError,
  udpAssociate,
} from "../../src/client/mod.ts";
import {
  gssapi,
  gssapiLogin,
  type GssapiLoginOptions,
} from "../../src/gssapi/mod.ts";
import { encodeMessage, MESSAGE } from "../../src/protocol/gssapi.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { shutGate } from "../support/gate.ts";
import { test } from "../support/harness.ts";
import { connect as connectTo, udpEcho } from "../support/raw.ts";
import {
  ANSWER,
  type ScriptedContext,
  ScriptedGss,
  TICKET,
  token,
} from "../support/scripted_gss.ts";
import { echo, startServer, startTarget } from "../support/server.ts";
import { join, octets } from "../support/table.ts";
import {
  assertSameOctets,
  pattern,
  readAll,
  readExactly,
  until,
} from "../transport/contract.ts";

const { authentication, protection } = MESSAGE;
const GREETING = octets("05 01 01");
const answer = encodeMessage({ type: authentication, token: ANSWER });
const login = encodeMessage({ type: authentication, token: TICKET });

function level(number: number, of: Uint8Array = Uint8Array.of(number)) {
  return encodeMessage({ type: protection, token: token(of, false, 0) });
}

const pairs: readonly (0 | 1 | 2)[] = [2, 1, 0];

for (const it of pairs) {
  test(`gssapiLogin() and gssapi() carry CONNECT, BIND and UDP at level ${it}`, async () => {
    const provider = new ScriptedGss();
    const auth = [await gssapi({ provider, levels: [it] })];
    const server = await startServer({ auth });
    const target = await startTarget(echo);
    const datagrams = await udpEcho();
    const url = `socks5h://localhost:${server.server.addr.port}`;
    const options: ClientOptions = {
      auth: [gssapiLogin({ provider, levels: [it] })],
    };

    const conn = await connect(url, target.addr, options);
    const sent = pattern(400_000);
    const writing = conn.write(sent).then(() => conn.closeWrite());
    assertSameOctets(await readAll(conn), sent);
    await writing;
    conn.close();
    assertEquals((await server.ended()).reason, "finished");

    const listener = await bind(url, target.addr, options);
    const peer = await connectTo(listener.addr);
    const inbound = await listener.accept();
    await peer.write(octets('"hello"'));
    assertEquals(await readExactly(inbound, 5), octets('"hello"'));
    await inbound.closeWrite();
    assertEquals(await peer.read(), null);
    for (const it of [peer, inbound]) it.close();
    await listener.close();
    await server.ended();

    const association = await udpAssociate(url, options);
    const most = association.maxPayload(datagrams.addr.hostname);
    assertEquals(most, it === 0 ? 65_497 : 65_497 - 8);
    for (const size of [0, 1, most]) {
      await association.send(new Uint8Array(size).fill(7), datagrams.addr);
      const { value } = await association.next();
      const [payload] = value!;
      assertEquals(payload.length, size);
    }
    association.close();
    await server.ended();

    assertEquals([...new Set(provider.services)], ["rcmd@localhost"]);
    assertEquals(provider.open, 0);
    datagrams.close();
    await target.close();
    await server.close();
  });
}

/** What a proxy answers, after the method, to the client's token and level. */
async function refusal(
  answers: readonly Uint8Array[],
  options: GssapiLoginOptions = {},
): Promise<SocksError> {
  const provider = options.provider as ScriptedGss ?? new ScriptedGss();
  const proxy = await startTarget(async (conn) => {
    await readExactly(conn, GREETING.length);
    await conn.write(join(octets("05 01"), ...answers));
    await readAll(conn).catch(() => {});
    conn.close();
  });
  const auth = [gssapiLogin({ ...options, provider })];
  const url = `socks5h://127.0.0.1:${proxy.addr.port}`;
  const error = await connect(url, "a.test:80", { auth }).catch((it) => it);
  assert(error instanceof SocksError, `${error}`);
  assertEquals(error.phase, "auth");
  await until(() => provider.open === 0);
  await proxy.close();
  return error;
}

/** A row: the answers of the proxy, the code and a part of the message of the error. */
const rows: readonly (readonly [
  name: string,
  answers: readonly Uint8Array[],
  code: string,
  message: string,
])[] = [
  [
    "refuses the ticket",
    [octets("01 FF")],
    "login-failed",
    "the proxy refused the ticket",
  ],
  ["sends junk", [octets("01 01 00 01 99")], "login-failed", "not the answer"],
  ["sends a level first", [level(2)], "protocol", "message type is 2, not 1"],
  ["sends another version", [octets("05 00")], "protocol", "version octet"],
  [
    "grants level 1 to a client that accepts 2",
    [answer, level(1)],
    "login-failed",
    "the proxy grants level 1, acceptable is 2",
  ],
  [
    "grants level 0",
    [answer, level(0)],
    "login-failed",
    "the proxy grants level 0",
  ],
  [
    "grants level 3",
    [answer, level(3)],
    "login-failed",
    "the proxy grants level 3",
  ],
  [
    "grants two levels",
    [answer, level(2, octets("02 02"))],
    "login-failed",
    "the proxy grants level 2,2",
  ],
  [
    "grants a level without protection",
    [answer, octets("01 02 00 01 02")],
    "login-failed",
    "the checksum is wrong",
  ],
  [
    "aborts after the token",
    [answer, octets("01 FF")],
    "login-failed",
    "the proxy refused the ticket",
  ],
];

for (const [name, answers, code, message] of rows) {
  test(`gssapiLogin() fails when the proxy ${name}`, async () => {
    const error = await refusal(answers, { levels: [2] });
    assertEquals(error.code, code);
    assert(error.message.includes(message), error.message);
  });
}

test("gssapiLogin() fails when the proxy has not proved its identity", async () => {
  const provider = new ScriptedGss({ mutual: false });
  const { code, message } = await refusal([answer, level(2)], { provider });
  assertEquals(code, "login-failed");
  assert(message.includes("has not proved its identity"), message);
});

test("gssapiLogin() fails when the ticket allows none of the levels", async () => {
  const provider = new ScriptedGss({ confidentiality: false });
  const options = { provider, levels: [2] as const };
  const { code, message } = await refusal([answer, level(2)], options);
  assertEquals(code, "login-failed");
  assert(message.includes("allows none of the levels 2"), message);
});

test("gssapiLogin() asks for the service and the host that it is given", async () => {
  const provider = new ScriptedGss();
  const options = { provider, service: "socks", hostname: "proxy.test" };
  await refusal([octets("01 FF")], options);
  assertEquals(provider.services, ["socks@proxy.test"]);
});

test("gssapiLogin() sends the request in one token of its own", async () => {
  const provider = new ScriptedGss();
  let request: Uint8Array | undefined;
  const proxy = await startTarget(async (conn: Conn) => {
    await readExactly(conn, GREETING.length);
    await conn.write(octets("05 01"));
    assertEquals(await readExactly(conn, login.length), login);
    await conn.write(answer);
    await readExactly(conn, level(2).length);
    await conn.write(level(2));
    request = (await conn.read())!;
    conn.close();
  });
  const auth = [gssapiLogin({ provider })];
  const url = `socks5h://127.0.0.1:${proxy.addr.port}`;
  await connect(url, "a.test:80", { auth }).catch(() => {});
  const plain = octets('05 01 00 03 06 "a.test" 00 50');
  const type = MESSAGE.data;
  const expected = encodeMessage({ type, token: token(plain, true, 1) });
  assertEquals(request, expected);
  await proxy.close();
});

test("gssapiLogin() keeps the context until a step that outlives the attempt has ended", async () => {
  const gate = shutGate();
  const provider = new ScriptedGss({ beforeStep: () => gate.opened });
  let context: ScriptedContext | undefined;
  const observed = {
    initiate: (service: string) => context = provider.initiate(service),
  };
  const server = await startServer({ auth: [await gssapi({ provider })] });
  const url = `socks5h://127.0.0.1:${server.server.addr.port}`;
  const auth = [gssapiLogin({ provider: observed })];
  const options = { auth, timeout: 50 };
  const error = await connect(url, "a.test:80", options).catch((it) => it);
  assertEquals([error.code, error.phase], ["timeout", "auth"]);
  assert(context);
  gate.open();
  await until(() => provider.open === 0);
  await server.close();
});

const wrongOptions: readonly (readonly [unknown, string])[] = [
  [{ servise: "x" }, 'did you mean "service"?'],
  [{ levels: [] }, "levels must be a list"],
  [{ service: "rcmd@proxy.test" }, "service must be a part of a principal"],
  [{ service: "" }, "service must be a part of a principal"],
  [{ hostname: "rcmd/proxy" }, "hostname must be a part of a principal"],
];

for (const [options, message] of wrongOptions) {
  test(`gssapiLogin() throws for ${JSON.stringify(options)}`, () => {
    assertThrows(
      () => gssapiLogin(options as GssapiLoginOptions),
      TypeError,
      message,
    );
  });
}
