/** The front ends without a server: from bytes to a request, or to a refusal and its farewell. */

import { assertEquals, assertRejects } from "@std/assert";
import { ProtocolError } from "../../../src/protocol/decode.ts";
import { detectFrontend } from "../../../src/server/frontends/detect.ts";
import type {
  ClientRequest,
  HandshakeSession,
} from "../../../src/server/frontends/frontend.ts";
import { Refusal } from "../../../src/server/frontends/refusal.ts";
import {
  type AuthMethod,
  type LoginGuard,
  noAuth,
  type ServeOptions,
  userPass,
} from "../../../src/server/mod.ts";
import { resolveSettings } from "../../../src/server/settings.ts";
import { NetError } from "../../../src/transport/errors.ts";
import { MessageReader } from "../../../src/transport/message_reader.ts";
import { AbortSwitch } from "../../../src/transport/signal.ts";
import type { Conn, Transport } from "../../../src/transport/transport.ts";
import { test } from "../../support/harness.ts";
import { hex } from "../../support/raw.ts";
import { scriptedConn } from "../../support/scripted_conn.ts";
import { join, octets } from "../../support/table.ts";
import { readAll, until } from "../../transport/contract.ts";

/** A session that records the reports of its front end. */
class TestSession implements HandshakeSession {
  readonly client = { hostname: "127.0.0.1", port: 1 };
  readonly stopping = new AbortSwitch();
  readonly auths: boolean[] = [];
  method?: string;
  user?: string;
  userId?: string;
  wrapped?: Conn;

  onAuth(ok: boolean): void {
    this.auths.push(ok);
  }
}

/** The effects of a front end. */
interface Read {
  readonly session: TestSession;
  /** Everything that it has sent, in hex. */
  readonly sent: string;
  readonly outcome: Promise<ClientRequest>;
}

async function read(
  options: ServeOptions,
  chunks: Uint8Array[],
): Promise<Read> {
  const transport = {} as Transport;
  const settings = await resolveSettings(options, transport);
  const conn = scriptedConn(...chunks);
  const reader = new MessageReader(conn);
  const session = new TestSession();
  const frontend = await detectFrontend(reader, settings.servesHttp);
  const outcome = frontend.read({ conn, reader, settings, session });
  await outcome.catch(() => {});
  return { session, sent: hex(join(...conn.sent)), outcome };
}

/** The same bytes as one chunk, and as a chunk for each byte. */
function splits(bytes: Uint8Array): Uint8Array[][] {
  return [[bytes.slice()], [...bytes].map((it) => Uint8Array.of(it))];
}

const CLOSED: AuthMethod = {
  number: 0x80,
  name: "closed",
  negotiate: () => Promise.resolve({ ok: false, farewell: octets("AA") }),
};
const THROWING: AuthMethod = {
  number: 0x80,
  name: "throwing",
  negotiate() {
    throw new Error("broken");
  },
};
const down = () => Promise.reject(new Error("down"));
const BROKEN_GUARD: LoginGuard = {
  isLocked: down,
  failed: down,
  succeeded: down,
};
const LOGIN: ServeOptions = { auth: [userPass({ al: "pw" })] };
const IDS: ServeOptions = { socks4: { userIds: ["al"] } };
const HTTP: ServeOptions = { http: true };
const HTTP_LOGIN: ServeOptions = { ...HTTP, ...LOGIN };
const EITHER: ServeOptions = { ...HTTP, auth: [...LOGIN.auth!, noAuth()] };
const CONNECT = '"CONNECT a.example:80 HTTP/1.1" 0D 0A "Host: a" 0D 0A';
/** The field `Proxy-Authorization` with this user and password. */
const basic = (login: string) =>
  `"Proxy-Authorization: Basic ${btoa(login)}" 0D 0A`;
const TARGET4 = "00 50 C0 00 02 01"; // 192.0.2.1:80
const TARGET5 = "00 01 C0 00 02 01 00 50";
const NAME5 = '00 03 09 "a.example" 00 50';

/**
 * Requests: name, options, the bytes of the client, the bytes sent to it, the
 * request, and the state of the session.
 */
const requests: [
  name: string,
  options: ServeOptions,
  received: string,
  sent: string,
  request: string,
  session: Partial<TestSession>,
][] = [
  [
    "a SOCKS5 CONNECT",
    {},
    `05 01 00 05 01 ${TARGET5}`,
    "05 00",
    "connect 192.0.2.1:80",
    { method: "none", auths: [true] },
  ],
  [
    "a SOCKS5 CONNECT to a name",
    {},
    `05 02 02 00 05 01 ${NAME5}`,
    "05 00",
    "connect a.example:80",
    { method: "none", auths: [true] },
  ],
  [
    "a SOCKS5 BIND",
    {},
    `05 01 00 05 02 ${TARGET5}`,
    "05 00",
    "bind 192.0.2.1:80",
    { method: "none", auths: [true] },
  ],
  [
    "a SOCKS5 UDP ASSOCIATE",
    {},
    `05 01 00 05 03 ${TARGET5}`,
    "05 00",
    "udp-associate 192.0.2.1:80",
    { method: "none", auths: [true] },
  ],
  [
    "a SOCKS5 RESOLVE",
    {},
    `05 01 00 05 F0 ${NAME5}`,
    "05 00",
    "resolve a.example:80",
    { method: "none", auths: [true] },
  ],
  [
    "a SOCKS5 RESOLVE_PTR",
    {},
    `05 01 00 05 F1 ${TARGET5}`,
    "05 00",
    "resolve-ptr 192.0.2.1:80",
    { method: "none", auths: [true] },
  ],
  [
    "a SOCKS4a RESOLVE",
    {},
    '04 F0 00 50 00 00 00 01 00 "a.example" 00',
    "",
    "resolve a.example:80",
    { userId: "", auths: [] },
  ],
  [
    "a SOCKS4 RESOLVE_PTR, which does not exist",
    {},
    `04 F1 ${TARGET4} 00`,
    "",
    "undefined 192.0.2.1:80",
    { userId: "", auths: [] },
  ],
  [
    "an unknown SOCKS5 command",
    {},
    `05 01 00 05 09 ${TARGET5}`,
    "05 00",
    "undefined 192.0.2.1:80",
    { method: "none", auths: [true] },
  ],
  [
    "a SOCKS5 login",
    LOGIN,
    `05 02 00 02 01 02 "al" 02 "pw" 05 01 ${TARGET5}`,
    "05 02 01 00",
    "connect 192.0.2.1:80",
    { method: "password", user: "al", auths: [true] },
  ],
  [
    "the method that the server prefers",
    { auth: [...LOGIN.auth!, noAuth()] },
    `05 02 00 02 01 02 "al" 02 "pw" 05 01 ${TARGET5}`,
    "05 02 01 00",
    "connect 192.0.2.1:80",
    { method: "password", user: "al", auths: [true] },
  ],
  [
    "a SOCKS4 CONNECT",
    {},
    `04 01 ${TARGET4} "al" 00`,
    "",
    "connect 192.0.2.1:80",
    { userId: "al", auths: [] },
  ],
  [
    "a SOCKS4a BIND",
    {},
    '04 02 00 50 00 00 00 01 00 "a.example" 00',
    "",
    "bind a.example:80",
    { userId: "", auths: [] },
  ],
  [
    "a SOCKS4 command 3, which SOCKS4 does not have",
    {},
    `04 03 ${TARGET4} 00`,
    "",
    "undefined 192.0.2.1:80",
    { userId: "", auths: [] },
  ],
  [
    "a SOCKS4 user id that is checked",
    { ...LOGIN, ...IDS },
    `04 01 ${TARGET4} "al" 00`,
    "",
    "connect 192.0.2.1:80",
    { userId: "al", user: "al", auths: [true] },
  ],
  [
    "an HTTP CONNECT",
    HTTP,
    `${CONNECT} 0D 0A`,
    "",
    "connect a.example:80",
    { method: "none", auths: [true] },
  ],
  [
    "an HTTP CONNECT with fields that change nothing",
    HTTP,
    `${CONNECT} "Expect: 100-continue" 0D 0A "Content-Length: 0" 0D 0A 0D 0A`,
    "",
    "connect a.example:80",
    { method: "none", auths: [true] },
  ],
  [
    "an HTTP CONNECT to an IPv6 address",
    HTTP,
    '"CONNECT [2001:DB8::1]:80 HTTP/1.0" 0D 0A 0D 0A',
    "",
    "connect 2001:db8::1:80",
    { method: "none", auths: [true] },
  ],
  [
    "an HTTP login",
    HTTP_LOGIN,
    `${CONNECT} ${basic("al:pw")} 0D 0A`,
    "",
    "connect a.example:80",
    { method: "password", user: "al", auths: [true] },
  ],
  [
    "an HTTP login if the server prefers one",
    EITHER,
    `${CONNECT} ${basic("al:pw")} 0D 0A`,
    "",
    "connect a.example:80",
    { method: "password", user: "al", auths: [true] },
  ],
  [
    "an HTTP CONNECT without a login if the server accepts both",
    EITHER,
    `${CONNECT} 0D 0A`,
    "",
    "connect a.example:80",
    { method: "none", auths: [true] },
  ],
  [
    "an HTTP CONNECT whose login the server does not ask for",
    HTTP,
    `${CONNECT} ${basic("al:wrong")} 0D 0A`,
    "",
    "connect a.example:80",
    { method: "none", auths: [true] },
  ],
];

for (const [name, options, received, sent, expected, session] of requests) {
  test(`a front end reads ${name}, and nothing after it`, async () => {
    for (const rest of ["", "DE AD BE EF"]) {
      for (const chunks of splits(octets(`${received} ${rest}`))) {
        const result = await read(options, chunks);
        const { command, target, conn } = await result.outcome;
        const { hostname, port } = target;
        assertEquals(`${command} ${hostname}:${port}`, expected);
        assertEquals(result.sent, sent);
        const { method, user, userId, auths } = result.session;
        assertEquals({ method, user, userId, auths }, {
          method: undefined,
          user: undefined,
          userId: undefined,
          ...session,
        });
        assertEquals(hex(await readAll(conn)), hex(octets(rest)));
      }
    }
  });
}

/**
 * Refusals: name, options, the bytes of the client, the reason, the farewell, the
 * reply that events show, and the outcomes of logins.
 */
const refusals: [
  name: string,
  options: ServeOptions,
  received: string,
  reason: string,
  farewell: string | undefined,
  reply: number | undefined,
  auths: boolean[],
][] = [
  [
    "a SOCKS5 client without a common method",
    LOGIN,
    "05 02 00 01",
    "no-method",
    "05 ff",
    undefined,
    [],
  ],
  [
    "a SOCKS5 client without any method",
    {},
    "05 00",
    "no-method",
    "05 ff",
    undefined,
    [],
  ],
  [
    "a SOCKS5 client with a wrong password",
    LOGIN,
    '05 01 02 01 02 "al" 02 "pq"',
    "login-failed",
    "01 01",
    undefined,
    [false],
  ],
  [
    "a SOCKS5 client with a malformed login",
    LOGIN,
    "05 01 02 05",
    "login-failed",
    "01 01",
    undefined,
    [false],
  ],
  [
    "a SOCKS5 client when its method does",
    { auth: [CLOSED] },
    "05 01 80",
    "login-failed",
    "aa",
    undefined,
    [false],
  ],
  [
    "a SOCKS5 request of another version",
    {},
    "05 01 00 04",
    "protocol-error",
    "05 01 00 01 00 00 00 00 00 00",
    1,
    [true],
  ],
  [
    "a SOCKS5 request with an unknown address type",
    {},
    "05 01 00 05 01 00 02",
    "protocol-error",
    "05 08 00 01 00 00 00 00 00 00",
    8,
    [true],
  ],
  [
    "a SOCKS5 request with a malformed name",
    {},
    '05 01 00 05 01 00 03 03 "a b" 00 50',
    "protocol-error",
    "05 04 00 01 00 00 00 00 00 00",
    4,
    [true],
  ],
  [
    "a SOCKS4a request with a malformed name",
    {},
    '04 01 00 50 00 00 00 01 00 "a b" 00',
    "protocol-error",
    "00 5b 00 00 00 00 00 00",
    0x5b,
    [],
  ],
  [
    "a SOCKS4 client when a login is required",
    LOGIN,
    `04 01 ${TARGET4} "al" 00`,
    "no-method",
    "00 5b 00 00 00 00 00 00",
    0x5b,
    [],
  ],
  [
    "a SOCKS4 user id that is not on the list",
    IDS,
    `04 01 ${TARGET4} "bo" 00`,
    "login-failed",
    "00 5b 00 00 00 00 00 00",
    0x5b,
    [false],
  ],
  [
    "a SOCKS5 client when its method throws",
    { auth: [THROWING] },
    "05 01 80",
    "login-error",
    undefined,
    undefined,
    [false],
  ],
  [
    "a SOCKS5 login when its guard fails",
    { auth: [userPass({ al: "pw" }, { guard: BROKEN_GUARD })] },
    '05 01 02 01 02 "al" 02 "pw"',
    "login-error",
    undefined,
    undefined,
    [false],
  ],
  [
    "a SOCKS4 user id when its guard fails",
    { socks4: { verifier: () => true, guard: BROKEN_GUARD } },
    `04 01 ${TARGET4} "al" 00`,
    "login-error",
    "00 5b 00 00 00 00 00 00",
    0x5b,
    [false],
  ],
  [
    "a SOCKS4 user id that its verifier cannot verify",
    {
      socks4: { verifier: down },
    },
    `04 01 ${TARGET4} "al" 00`,
    "login-error",
    "00 5b 00 00 00 00 00 00",
    0x5b,
    [false],
  ],
];

for (const [name, options, received, ...expected] of refusals) {
  test(`a front end refuses ${name}`, async () => {
    for (const chunks of splits(octets(received))) {
      const { session, outcome } = await read(options, chunks);
      const error = await assertRejects(() => outcome, Refusal);
      const { reason, farewell, reply } = error;
      assertEquals(
        [reason, farewell && hex(farewell), reply, session.auths],
        expected,
      );
    }
  });
}

/** A copy of `userPass()` that is stricter than its verifier. */
const STRICTER: AuthMethod = {
  ...LOGIN.auth![0],
  negotiate: () => Promise.resolve({ ok: false }),
};

/**
 * Refusals of HTTP: name, options, the bytes of the client, the reason, the status, and the
 * outcomes of logins.
 */
const httpRefusals: [
  name: string,
  options: ServeOptions,
  received: string,
  reason: string,
  status: number,
  auths: boolean[],
][] = [
  [
    "a client without a login",
    HTTP_LOGIN,
    `${CONNECT} 0D 0A`,
    "no-method",
    407,
    [],
  ],
  [
    "a login that is not Basic",
    HTTP_LOGIN,
    `${CONNECT} "Proxy-Authorization: Bearer YWw6cHc=" 0D 0A 0D 0A`,
    "no-method",
    407,
    [],
  ],
  [
    "a login that is malformed",
    HTTP_LOGIN,
    `${CONNECT} "Proxy-Authorization: Basic YWw=" 0D 0A 0D 0A`,
    "no-method",
    407,
    [],
  ],
  [
    "a login for the target",
    HTTP_LOGIN,
    `${CONNECT} "Authorization: Basic ${btoa("al:pw")}" 0D 0A 0D 0A`,
    "no-method",
    407,
    [],
  ],
  [
    "a wrong password",
    HTTP_LOGIN,
    `${CONNECT} ${basic("al:pq")} 0D 0A`,
    "login-failed",
    407,
    [false],
  ],
  [
    "an empty login",
    HTTP_LOGIN,
    `${CONNECT} ${basic(":")} 0D 0A`,
    "login-failed",
    407,
    [false],
  ],
  [
    "a wrong login if the server prefers one and accepts none as well",
    EITHER,
    `${CONNECT} ${basic("al:pq")} 0D 0A`,
    "login-failed",
    407,
    [false],
  ],
  [
    "a login that cannot be verified",
    { ...HTTP, auth: [userPass(down)] },
    `${CONNECT} ${basic("al:pw")} 0D 0A`,
    "login-error",
    407,
    [false],
  ],
  [
    "a login when its guard fails",
    { ...HTTP, auth: [userPass({ al: "pw" }, { guard: BROKEN_GUARD })] },
    `${CONNECT} ${basic("al:pw")} 0D 0A`,
    "login-error",
    407,
    [false],
  ],
  [
    "everyone if the only method is another one",
    { ...HTTP, auth: [CLOSED] },
    `${CONNECT} ${basic("al:pw")} 0D 0A`,
    "no-method",
    403,
    [],
  ],
  [
    "everyone if the only method has no negotiation, but a number of its own",
    { ...HTTP, auth: [{ number: 0x80, name: "open" }] },
    `${CONNECT} 0D 0A`,
    "no-method",
    403,
    [],
  ],
  [
    "everyone if the only method is a copy of userPass()",
    { ...HTTP, auth: [STRICTER] },
    `${CONNECT} ${basic("al:pw")} 0D 0A`,
    "no-method",
    403,
    [],
  ],
  [
    "a request without an absolute URL, before any login",
    HTTP_LOGIN,
    '"GET /a HTTP/1.1" 0D 0A',
    "protocol-error",
    400,
    [],
  ],
  [
    "a URL with https:",
    HTTP,
    '"GET https://a.example/ HTTP/1.1" 0D 0A',
    "protocol-error",
    501,
    [],
  ],
  [
    "two lengths",
    HTTP,
    '"POST http://a/ HTTP/1.1" 0D 0A "Host: a" 0D 0A "Content-Length: 1" 0D 0A "Content-Length: 1" 0D 0A 0D 0A',
    "protocol-error",
    400,
    [],
  ],
  [
    "a length that cannot be counted",
    HTTP,
    '"POST http://a/ HTTP/1.0" 0D 0A "Content-Length: 99999999999999999" 0D 0A 0D 0A',
    "protocol-error",
    413,
    [],
  ],
  [
    "a request in absolute form without a login",
    HTTP_LOGIN,
    '"GET http://a/ HTTP/1.0" 0D 0A 0D 0A',
    "no-method",
    407,
    [],
  ],
  [
    "a request in absolute form with a wrong login",
    HTTP_LOGIN,
    `"GET http://a/ HTTP/1.0" 0D 0A ${basic("al:pq")} 0D 0A`,
    "login-failed",
    407,
    [false],
  ],
  [
    "an HTTP/2 client",
    HTTP,
    '"PRI * HTTP/2.0" 0D 0A',
    "protocol-error",
    505,
    [],
  ],
  [
    "a request without Host",
    HTTP,
    '"CONNECT a:80 HTTP/1.1" 0D 0A 0D 0A',
    "protocol-error",
    400,
    [],
  ],
  [
    "a target without a port",
    HTTP,
    '"CONNECT a.example HTTP/1.0" 0D 0A',
    "protocol-error",
    400,
    [],
  ],
  [
    "a line that ends in LF alone",
    HTTP,
    '"CONNECT a:80 HTTP/1.0" 0A',
    "protocol-error",
    400,
    [],
  ],
  [
    "a folded line",
    HTTP,
    `${CONNECT} "A: b" 0D 0A " c" 0D 0A 0D 0A`,
    "protocol-error",
    400,
    [],
  ],
  [
    "a request with content",
    HTTP,
    `${CONNECT} "Content-Length: 5" 0D 0A 0D 0A`,
    "protocol-error",
    400,
    [],
  ],
  [
    "another protocol that begins with a capital",
    HTTP,
    '"SSH-2.0-OpenSSH" 0D 0A',
    "protocol-error",
    400,
    [],
  ],
];

for (const [name, options, received, ...expected] of httpRefusals) {
  test(`HTTP.read() refuses ${name}`, async () => {
    for (const chunks of splits(octets(received))) {
      const { session, sent, outcome } = await read(options, chunks);
      const error = await assertRejects(() => outcome, Refusal);
      const { reason, farewell, reply } = error;
      assertEquals([reason, reply, session.auths, sent], [...expected, ""]);
      const [head, text] = new TextDecoder().decode(farewell).split("\r\n\r\n");
      assertEquals(head.startsWith(`HTTP/1.1 ${reply} `), true, head);
      assertEquals(
        head.includes("\r\nProxy-Authenticate: Basic "),
        reply === 407,
      );
      assertEquals(text.endsWith(".\n"), true, text);
    }
  });
}

test("HTTP.read() refuses a header of more than 16 KiB as soon as that has arrived", async () => {
  const field = new TextEncoder().encode(`A: ${"b".repeat(1_000)}\r\n`);
  const chunks = [octets(CONNECT), ...Array.from({ length: 100 }, () => field)];
  const { outcome } = await read(HTTP, chunks);
  const { reason, reply } = await assertRejects(() => outcome, Refusal);
  assertEquals([reason, reply], ["protocol-error", 431]);
  assertEquals(chunks.length, 101);
});

test("HTTP.read() locks out clients together with SOCKS5", async () => {
  const auth = [userPass({ al: "pw" }, { failedLogins: 2 })];
  const attempt = async (received: string) => {
    const { outcome } = await read({ http: true, auth }, [octets(received)]);
    return await outcome.then(() => "ok", (error: Error) => error.message);
  };
  assertEquals(
    await attempt('05 01 02 01 02 "al" 02 "pq"'),
    "the login failed",
  );
  assertEquals(
    await attempt(`${CONNECT} ${basic("al:pq")} 0D 0A`),
    "the login failed",
  );
  const lockedOut = "locked out after too many failed logins";
  assertEquals(
    await attempt(`${CONNECT} ${basic("al:pw")} 0D 0A`),
    lockedOut,
  );
  assertEquals(await attempt('05 01 02 01 02 "al" 02 "pw"'), lockedOut);
});

test("HTTP.read() rejects when the session ends during a verification", async () => {
  const auth = [userPass(() => new Promise<boolean>(() => {}))];
  const settings = await resolveSettings({ http: true, auth }, {} as Transport);
  const conn = scriptedConn(octets(`${CONNECT} ${basic("al:pw")} 0D 0A`));
  const reader = new MessageReader(conn);
  const session = new TestSession();
  const frontend = await detectFrontend(reader, true);
  const outcome = frontend.read({ conn, reader, settings, session });
  session.stopping.abort(new Error("over"));
  await assertRejects(() => outcome);
});

const cutOff: [name: string, options: ServeOptions, received: string][] = [
  ["a SOCKS5 greeting", {}, "05 02 00"],
  ["a SOCKS5 login", LOGIN, '05 01 02 01 02 "al" 02 "p"'],
  ["a SOCKS5 request", {}, "05 01 00 05 01 00 01 C0"],
  ["a SOCKS4 request", {}, `04 01 ${TARGET4} "al"`],
  ["an HTTP request", HTTP, CONNECT],
];

for (const [name, options, received] of cutOff) {
  test(`a front end rejects with the connection's error when ${name} is cut off`, async () => {
    for (const chunks of splits(octets(received))) {
      const { outcome } = await read(options, chunks);
      const error = await assertRejects(() => outcome, Error);
      assertEquals([error.name, (error as { kind?: string }).kind], [
        "NetError",
        "ended",
      ]);
    }
  });
}

test("SOCKS5.read() rejects when the session ends, and closes the connection that its method returns later", async () => {
  const transport = {} as Transport;
  const late = scriptedConn();
  let finish!: () => void;
  const gate = new Promise<void>((resolve) => finish = resolve);
  const negotiate = async () => {
    await gate;
    return { ok: true, conn: late };
  };
  const auth = [{ number: 0x80, name: "slow", negotiate }];
  const settings = await resolveSettings({ auth }, transport);
  const conn = scriptedConn(octets("05 01 80"));
  const reader = new MessageReader(conn);
  const session = new TestSession();
  const frontend = await detectFrontend(reader);
  const outcome = frontend.read({ conn, reader, settings, session });
  session.stopping.abort(new Error("over"));
  await assertRejects(() => outcome);
  finish();
  await until(() => late.closed);
  assertEquals([session.auths, session.wrapped], [[], undefined]);
});

test("SOCKS5.read() refuses a broken message of a wrapped connection, as a ProtocolError or as the cause of a NetError", async () => {
  const broken = new ProtocolError("message", "broken");
  const errors = [broken, new NetError("other", broken.message, broken)];
  for (const error of errors) {
    const wrapped = { ...scriptedConn(), read: () => Promise.reject(error) };
    const negotiate = () => Promise.resolve({ ok: true, conn: wrapped });
    const options = { auth: [{ number: 0x80, name: "wrapping", negotiate }] };
    const { outcome, session } = await read(options, [octets("05 01 80")]);
    const refusal = await assertRejects(() => outcome, Refusal);
    assertEquals(refusal.reason, "protocol-error");
    assertEquals(hex(refusal.farewell!).slice(0, 5), "05 01");
    assertEquals(session.wrapped, wrapped);
  }
});
