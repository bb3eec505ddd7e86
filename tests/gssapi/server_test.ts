/** GSSAPI of the server, with a mechanism that the tests compute. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  gssapi,
  type GssapiOptions,
  GssError,
  type GssProvider,
} from "../../src/gssapi/mod.ts";
import {
  encodeMessage,
  HEADER_SIZE,
  MESSAGE,
} from "../../src/protocol/gssapi.ts";
import type { AuthMethod, ServeOptions } from "../../src/server/mod.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { test } from "../support/harness.ts";
import { block, hex, readReply } from "../support/raw.ts";
import {
  ANSWER,
  PRINCIPAL,
  ScriptedGss,
  TICKET,
  token,
} from "../support/scripted_gss.ts";
import {
  echo,
  startServer,
  startTarget,
  type TestServer,
} from "../support/server.ts";
import { join, octets } from "../support/table.ts";
import { readAll, readExactly } from "../transport/contract.ts";

const GREETING = octets("05 01 01");
const { authentication, protection, data } = MESSAGE;

const login = encodeMessage({ type: authentication, token: TICKET });
const answer = encodeMessage({ type: authentication, token: ANSWER });

/** The request for a level, and the answer: both are the first token of their side. */
function level(number: number): Uint8Array {
  const asked = token(Uint8Array.of(number), false, 0);
  return encodeMessage({ type: protection, token: asked });
}

function message(
  payload: Uint8Array,
  number: number,
  confidential = true,
): Uint8Array {
  const type = data;
  return encodeMessage({ type, token: token(payload, confidential, number) });
}

/** A row: the client's octets after the greeting, the server's, the error in the log. */
type Row = readonly [
  name: string,
  sent: Uint8Array,
  answer: Uint8Array,
  error: string,
];

const ABORT = octets("01 FF");
const junk = octets("01 01 00 03 99 98 97");

const refusals: readonly Row[] = [
  ["a token that is junk", junk, ABORT, "not the ticket"],
  ["an empty token", octets("01 01 00 00"), ABORT, "the token is empty"],
  ["a level first", level(2), ABORT, "message type is 2, not 1"],
  ["data first", message(GREETING, 0), ABORT, "message type is 3, not 1"],
  ["an abort", ABORT, ABORT, "the peer has aborted"],
  ["a SOCKS request first", octets("05 01 00 01"), ABORT, "version octet"],
  ["an unknown message type", octets("01 04"), ABORT, "message type is 04"],
  [
    "an abort after its token",
    join(login, ABORT),
    join(answer, ABORT),
    "the peer has aborted",
  ],
  [
    "data in place of its level",
    join(login, message(GREETING, 0)),
    join(answer, ABORT),
    "message type is 3, not 2",
  ],
  [
    "an unprotected level",
    join(login, octets("01 02 00 01 02")),
    answer,
    "the level is not protected",
  ],
  [
    "a level of two octets",
    join(
      login,
      encodeMessage({
        type: protection,
        token: token(octets("01 02"), false, 0),
      }),
    ),
    answer,
    "the level is not a single octet",
  ],
  [
    "a level with a wrong checksum",
    join(login, level(2).slice(0, -1), octets("99")),
    answer,
    "the checksum is wrong",
  ],
  [
    "a level that is not the first token of the sequence",
    join(
      login,
      encodeMessage({ type: protection, token: token(octets("02"), false, 1) }),
    ),
    answer,
    "the level is not a single octet",
  ],
];

for (const [name, sent, expected, error] of refusals) {
  test(`gssapi() refuses a client that sends ${name}`, async () => {
    const provider = new ScriptedGss();
    const server = await startServer({ auth: [await gssapi({ provider })] });
    const conn = await server.client();
    await conn.write(join(GREETING, sent));
    assertEquals(await readAll(conn), join(octets("05 01"), expected));
    conn.close();
    const end = await server.ended();
    assertEquals(end.reason, "login-failed");
    assert(end.error?.message.includes(error), end.error?.message);
    assertEquals(server.events.filter(({ type }) => type === "auth").length, 1);
    assertEquals(provider.open, 0);
    await server.close();
  });
}

test("gssapi() ends with login-error when it is not the client's fault", async () => {
  const broken: Pick<GssProvider, "accept"> = {
    accept: () =>
      Object.assign(new ScriptedGss().accept(), {
        step() {
          throw new GssError("keytab", "the keytab is out of date");
        },
      }),
  };
  const auth = [await gssapi({ provider: broken })];
  const server = await startServer({ auth });
  const conn = await server.client();
  await conn.write(join(GREETING, login));
  assertEquals(await readAll(conn), join(octets("05 01"), ABORT));
  conn.close();
  const { reason, error } = await server.ended();
  assertEquals([reason, error?.message], [
    "login-error",
    "the login could not be verified: the keytab is out of date",
  ]);
  await server.close();
});

/** A row: the levels of the server, the level that is asked for, the answer. */
const levels: readonly (readonly [readonly (0 | 1 | 2)[], number, number])[] = [
  [[2, 1], 2, 2],
  [[2, 1], 1, 1],
  [[2, 1], 0, 2],
  [[2, 1], 3, 2],
  [[2, 1], 9, 2],
  [[1], 2, 1],
  [[2], 1, 2],
  [[2, 1, 0], 0, 0],
  [[0], 2, 0],
];

for (const [offered, asked, granted] of levels) {
  test(`gssapi() answers level ${granted} when the client asks for ${asked} and may use ${offered}`, async () => {
    const world = await start({ levels: offered });
    const conn = await world.login(level(asked), level(granted));
    await world.assertUsable(conn, granted);
    await world.close();
  });
}

test("gssapi() offers only levels that the context supports", async () => {
  const provider = new ScriptedGss({ confidentiality: false });
  const world = await start({ provider });
  const conn = await world.login(level(2), level(1));
  await world.assertUsable(conn, 1);
  await world.close();
});

test("gssapi() refuses a client whose context supports no level", async () => {
  const provider = new ScriptedGss({ integrity: false });
  const world = await start({ provider });
  const conn = await world.server.client();
  await conn.write(join(GREETING, login, level(2)));
  assertEquals(await readAll(conn), join(octets("05 01"), answer));
  conn.close();
  assertEquals((await world.server.ended()).reason, "login-failed");
  await world.close();
});

for (const asked of [0, 1, 2]) {
  test(`gssapi() accepts an unprotected level ${asked} when nec is set, and answers in kind`, async () => {
    const world = await start({ nec: true, levels: [2, 1, 0] });
    const bare = octets(`01 02 00 01 0${asked}`);
    const conn = await world.login(bare, bare);
    await world.assertUsable(conn, asked, 0);
    await world.close();
  });
}

interface World {
  readonly server: TestServer;
  /** Logs in; returns the connection after the answer to the level. */
  login(asked: Uint8Array, granted: Uint8Array): Promise<Conn>;
  /** Connects to a target; `number` is the client's next one in the sequence. */
  assertUsable(conn: Conn, level: number, number?: number): Promise<void>;
  close(): Promise<void>;
}

async function start(
  options: GssapiOptions = {},
  serveOptions: ServeOptions = {},
): Promise<World> {
  const provider = options.provider as ScriptedGss ?? new ScriptedGss();
  const auth = [await gssapi({ ...options, provider })];
  const server = await startServer({ ...serveOptions, auth });
  const target = await startTarget(echo);
  return {
    server,
    async login(asked, granted) {
      const conn = await server.client();
      await conn.write(join(GREETING, login, asked));
      const expected = join(octets("05 01"), answer, granted);
      assertEquals(await readExactly(conn, expected.length), expected);
      return conn;
    },
    async assertUsable(conn, level, number = 1) {
      const request = octets(`05 01 00 ${block(target.addr)}`);
      const hello = octets('"hello"');
      if (level === 0) {
        await conn.write(join(request, hello));
        assertEquals((await readReply(conn)).rep, 0);
        assertEquals(await readExactly(conn, 5), hello);
      } else {
        const sealed = level === 2;
        await conn.write(join(
          message(request, number, sealed),
          message(hello, number + 1, sealed),
        ));
        const [reply, echoed] = [10, 5].map((it) => 4 + it + 4);
        const got = await readExactly(conn, reply + echoed);
        assertEquals(
          hex(got.subarray(reply)),
          hex(message(hello, number + 1, sealed)),
        );
      }
      await conn.closeWrite();
      assertEquals(await conn.read(), null);
      const { reason, session } = await server.ended();
      assertEquals([reason, session.user, session.method], [
        "finished",
        PRINCIPAL,
        "gssapi",
      ]);
      assertEquals(session.sent, 5);
      assertEquals(provider.open, 0);
    },
    async close() {
      await server.close();
      await target.close();
      assertEquals(provider.open, 0);
    },
  };
}

/** A row: the octets after a login at level 2, the error in the log. */
const attacks: readonly (readonly [string, Uint8Array, string])[] = [
  [
    "a request in clear",
    octets("05 01 00 01 7F 00 00 01 00 50"),
    "version octet",
  ],
  ["a level again", level(2), "message type is 02, not 03"],
  [
    "a token that is only signed",
    message(octets("05 01 00"), 1, false),
    "a message is not encrypted",
  ],
  [
    "a token that was tampered with",
    join(message(octets("05 01 00"), 1).slice(0, -1), octets("99")),
    "the checksum is wrong",
  ],
  [
    "the same token twice",
    join(message(octets("05"), 1), message(octets("05"), 1)),
    "out of order (duplicate)",
  ],
  [
    "a token after one that is missing",
    message(octets("05 01 00"), 2),
    "out of order (gap)",
  ],
];

for (const [name, sent, error] of attacks) {
  test(`gssapi() closes the connection of a client that sends ${name}`, async () => {
    const world = await start();
    const conn = await world.login(level(2), level(2));
    await conn.write(sent);
    // The refusal is protected as well: nothing of it is in clear.
    const refusal = octets("05 01 00 01 00 00 00 00 00 00");
    assertEquals(await readAll(conn), message(refusal, 1));
    conn.close();
    const end = await world.server.ended();
    assertEquals(end.reason, "protocol-error");
    assert(end.error?.message.includes(error), end.error?.message);
    await world.close();
  });
}

test("gssapi() releases the context when a client says nothing, or is gone", async () => {
  const provider = new ScriptedGss();
  const timeouts = { handshake: 100 };
  const world = await start({ provider }, { timeouts });
  const steps = [GREETING, join(GREETING, login), login.subarray(0, 3)];
  for (const sent of [...steps, join(GREETING, login, level(2))]) {
    for (const leaves of [true, false]) {
      const conn = await world.server.client();
      await conn.write(sent);
      if (leaves) conn.close();
      else await readAll(conn).catch(() => {});
      await world.server.ended();
      assertEquals(provider.open, 0);
    }
  }
  await world.close();
});

test("gssapi() is chosen in the server's order of preference", async () => {
  const provider = new ScriptedGss();
  const { noAuth } = await import("../../src/server/mod.ts");
  const own = await gssapi({ provider });
  const orders: [AuthMethod[], string][] = [
    [[own, noAuth()], "05 01"],
    [[noAuth(), own], "05 00"],
  ];
  for (const [auth, choice] of orders) {
    const server = await startServer({ auth });
    const conn = await server.client();
    await conn.write(octets("05 02 00 01"));
    assertEquals(hex(await readExactly(conn, 2)), choice);
    await server.close();
  }
});

test("gssapi() counts the principal as the user of rules and limits", async () => {
  const { rules } = await import("../../src/server/mod.ts");
  const world = await start({}, {
    policy: rules([`deny user ${PRINCIPAL}`, "allow"]),
  });
  const conn = await world.login(level(2), level(2));
  await conn.write(message(octets("05 01 00 01 7F 00 00 01 00 50"), 1));
  const refusal = octets("05 02 00 01 00 00 00 00 00 00");
  assertEquals(await readAll(conn), message(refusal, 1));
  conn.close();
  const { session, reason } = await world.server.ended();
  assertEquals([reason, session.user], ["refused", PRINCIPAL]);
  await world.close();
});

test("gssapi() counts the sessions of a principal", async () => {
  const limits = { sessionsPerUser: 1 };
  const world = await start({}, { limits });
  const target = await startTarget();
  const request = octets(`05 01 00 ${block(target.addr)}`);
  const first = await world.login(level(2), level(2));
  await first.write(message(request, 1));
  const reply = 10 + HEADER_SIZE + 4;
  assertEquals((await readExactly(first, reply)).length, reply);
  const second = await world.login(level(2), level(2));
  await second.write(message(request, 1));
  const refusal = octets("05 02 00 01 00 00 00 00 00 00");
  assertEquals(await readAll(second), message(refusal, 1));
  second.close();
  const { session, reason } = await world.server.ended();
  assertEquals([reason, session.user], ["refused", PRINCIPAL]);
  first.close();
  await target.close();
  await world.server.ended();
  await world.close();
});

const wrongOptions: readonly (readonly [unknown, string])[] = [
  [{ keytap: "x" }, 'did you mean "keytab"?'],
  [{ levels: [] }, "levels must be a list"],
  [{ levels: [3] }, "levels must be a list"],
  [{ levels: [2, 2] }, "levels must be a list"],
  [{ levels: 2 }, "levels must be a list"],
  [{ provider: new ScriptedGss(), keytab: "x" }, "a provider, or a keytab"],
];

for (const [options, message] of wrongOptions) {
  test(`gssapi() rejects ${JSON.stringify(options)}`, async () => {
    await assertRejects(
      () => gssapi(options as GssapiOptions),
      TypeError,
      message,
    );
  });
}
