/** The answers of the server to handshakes: RFC 1928, RFC 1929 and SOCKS4, octet by octet. */

import { assert, assertEquals } from "@std/assert";
import { noAuth, type ServeOptions, userPass } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { NetError, type NetErrorKind } from "../../src/transport/errors.ts";
import { test } from "../support/harness.ts";
import { hex, port } from "../support/raw.ts";
import { join, octets } from "../support/table.ts";
import { readAll, readExactly } from "../transport/contract.ts";
import {
  closedPort,
  echo,
  startServer,
  startTarget,
} from "../support/server.ts";

/** Clients that send octet by octet get no time limit, as their speed depends on the machine. */
const unhurried: ServeOptions = { timeouts: { handshake: 0 } };
const login: ServeOptions = {
  auth: [
    userPass(
      { alice: "secret", ["u".repeat(255)]: "p".repeat(255) },
      { lockout: 0 }, // all these failures come from one address
    ),
  ],
};
const either: ServeOptions = {
  auth: [userPass({ alice: "secret" }), noAuth()],
};

/** Writes a message; if `split`, octet by octet, so that each arrives separately. */
async function send(conn: Conn, message: Uint8Array, split: boolean) {
  if (!split) return await conn.write(message);
  for (const octet of message) {
    await conn.write(Uint8Array.of(octet));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** A row: name, options, the message of the client, everything that it receives before the FIN. */
type Refusal = readonly [
  name: string,
  options: ServeOptions,
  sent: string,
  received: string,
];

const ERROR = (rep: string) => `05 ${rep} 00 01 00 00 00 00 00 00`;
const REFUSED4 = "00 5b 00 00 00 00 00 00";

const refusals: Refusal[] = [
  ["G4 no methods", {}, "05 00", "05 ff"],
  ["G6 an unknown method", {}, "05 01 7F", "05 ff"],
  ["G7 version 6", {}, "06 01 00", ""],
  ["G7 version 0", {}, "00 01 00", ""],
  ["G8 text", {}, '"get / http/1.1" 0D 0A 0D 0A', ""],
  ["A13 no login where one is required", login, "05 01 00", "05 ff"],
  [
    "A15 SOCKS4 where a login is required",
    login,
    "04 01 00 50 7F 00 00 01 00",
    REFUSED4,
  ],
  [
    "A2 a wrong password",
    login,
    '05 01 02 01 05 "alice" 05 "wrong"',
    "05 02 01 01",
  ],
  [
    "A2 an unknown user",
    login,
    '05 01 02 01 03 "bob" 06 "secret"',
    "05 02 01 01",
  ],
  [
    "A3 a login of version 5",
    login,
    '05 01 02 05 05 "alice" 06 "secret"',
    "05 02 01 01",
  ],
  ["A4 an empty user name", login, '05 01 02 01 00 06 "secret"', "05 02 01 01"],
  ["A5 an empty password", login, '05 01 02 01 05 "alice" 00', "05 02 01 01"],
  [
    "A7 a password with an octet too many",
    login,
    '05 01 02 01 05 "alice" 07 "secretx"',
    "05 02 01 01",
  ],
  [
    "A7 a password with an octet too few",
    login,
    '05 01 02 01 05 "alice" 05 "secre"',
    "05 02 01 01",
  ],
  [
    "A8 a password followed by NUL",
    login,
    '05 01 02 01 05 "alice" 08 "secret" 00 78',
    "05 02 01 01",
  ],
  [
    "A6 a wrong login of 255 and 255 octets",
    login,
    "05 01 02 01 FF 255*75 FF 255*71",
    "05 02 01 01",
  ],
  [
    "A11 a request instead of the login",
    login,
    "05 01 02 05 01 00 01 7F 00 00 01 00 50",
    "05 02 01 01",
  ],
  [
    "A12 a wrong login followed by a request",
    login,
    '05 01 02 01 05 "alice" 05 "wrong" 05 01 00 01 7F 00 00 01 00 50',
    "05 02 01 01",
  ],
  [
    "A16 a password that is not UTF-8",
    login,
    '05 01 02 01 05 "alice" 02 C3 28',
    "05 02 01 01",
  ],
  [
    "C9 an empty name",
    {},
    "05 01 00 05 01 00 03 00 00 50",
    `05 00 ${ERROR("04")}`,
  ],
  [
    "C10 a name of 255 octets",
    {},
    "05 01 00 05 01 00 03 FF 255*61 00 50",
    `05 00 ${ERROR("04")}`,
  ],
  [
    "C11 a name with NUL",
    {},
    '05 01 00 05 01 00 03 0B "local" 00 "evil." 00 50',
    `05 00 ${ERROR("04")}`,
  ],
  [
    "C7 a name in brackets",
    {},
    '05 01 00 05 01 00 03 05 "[::1]" 00 50',
    `05 00 ${ERROR("04")}`,
  ],
  [
    "C13 address type 2",
    {},
    "05 01 00 05 01 00 02 7F 00 00 01 00 50",
    `05 00 ${ERROR("08")}`,
  ],
  [
    "C14 command 9",
    {},
    "05 01 00 05 09 00 01 7F 00 00 01 00 50",
    `05 00 ${ERROR("07")}`,
  ],
  [
    "C14 command 0",
    {},
    "05 01 00 05 00 00 01 7F 00 00 01 00 50",
    `05 00 ${ERROR("07")}`,
  ],
  [
    "C16 a request of version 4",
    {},
    "05 01 00 04 01 00 01 7F 00 00 01 00 50",
    `05 00 ${ERROR("01")}`,
  ],
  [
    "C17 port 0",
    {},
    "05 01 00 05 01 00 01 7F 00 00 01 00 00",
    `05 00 ${ERROR("01")}`,
  ],
  ["S3 an empty 4a name", {}, "04 01 00 50 00 00 00 01 00 00", REFUSED4],
  ["S11 a user id without end", {}, "04 01 00 50 7F 00 00 01 513*61", REFUSED4],
  ["a 4a name without end", {}, "04 01 00 50 00 00 00 01 00 256*61", REFUSED4],
  [
    "C11 a 4a name with a control character",
    {},
    '04 01 00 50 00 00 00 01 00 "a" 0A "b" 00',
    REFUSED4,
  ],
  ["S13 SOCKS4 command 3", {}, "04 03 00 50 7F 00 00 01 00", REFUSED4],
  ["SOCKS4 port 0", {}, "04 01 00 00 7F 00 00 01 00", REFUSED4],
];

for (const [name, options, sent, received] of refusals) {
  test(`serve() refuses ${name}`, async () => {
    const server = await startServer({
      ...unhurried,
      ...options,
      dial: () => Promise.reject(new Error("nothing may be dialled")),
      ...(/port 0|255 octets/.test(name) && { dial: undefined }),
    });
    for (const split of [false, true]) {
      const client = await server.client();
      // The server may close the connection before the last octet.
      const sending = send(client, octets(sent), split).catch(() => {});
      // Without an answer, octets that are still in flight may turn the FIN into a reset.
      const all = readAll(client);
      assertEquals(
        hex(await (received ? all : all.catch(() => octets("")))),
        received,
      );
      await sending;
      client.close();
      const { reason } = await server.ended();
      assert(
        ["no-method", "login-failed", "protocol-error", "refused"].includes(
          reason,
        ),
        reason,
      );
    }
    await server.close();
  });
}

/**
 * A row: name, options, the handshake, the answers of the server up to the reply.
 * Placeholders: PP is the target's port, BB the port of the bound address.
 */
type Grant = readonly [
  name: string,
  options: ServeOptions,
  sent: string,
  received: string,
];

const V4 = "05 01 00 01 7F 00 00 01 PP";
const OK = "05 00 00 01 7f 00 00 01 BB";
const OK4 = "00 5a BB 7f 00 00 01";

const grants: Grant[] = [
  ["G1 method 00", {}, `05 01 00 ${V4}`, `05 00 ${OK}`],
  [
    "G2 methods 00 and 02 without a login to ask for",
    {},
    `05 02 00 02 ${V4}`,
    `05 00 ${OK}`,
  ],
  [
    "G3 methods 02 and 00 without a login to ask for",
    {},
    `05 02 02 00 ${V4}`,
    `05 00 ${OK}`,
  ],
  [
    "G5 255 methods",
    {},
    `05 FF ${
      Array.from({ length: 255 }, (_, i) => i.toString(16).padStart(2, "0"))
        .join(" ")
    } ${V4}`,
    `05 00 ${OK}`,
  ],
  [
    "A14 a login, with 00 offered too",
    login,
    `05 02 00 02 01 05 "alice" 06 "secret" ${V4}`,
    `05 02 01 00 ${OK}`,
  ],
  [
    "A1 a login",
    login,
    `05 01 02 01 05 "alice" 06 "secret" ${V4}`,
    `05 02 01 00 ${OK}`,
  ],
  [
    "A6 a login of 255 and 255 octets",
    login,
    `05 01 02 01 FF 255*75 FF 255*70 ${V4}`,
    `05 02 01 00 ${OK}`,
  ],
  [
    "the method that the server prefers",
    either,
    `05 02 00 02 01 05 "alice" 06 "secret" ${V4}`,
    `05 02 01 00 ${OK}`,
  ],
  [
    "the other method when the client has only that",
    either,
    `05 01 00 ${V4}`,
    `05 00 ${OK}`,
  ],
  [
    "C15 a reserved octet that is not zero",
    {},
    "05 01 00 05 01 55 01 7F 00 00 01 PP",
    `05 00 ${OK}`,
  ],
  [
    "C5 an IPv4 address as a name",
    {},
    '05 01 00 05 01 00 03 09 "127.0.0.1" PP',
    `05 00 ${OK}`,
  ],
  [
    "C24 an IPv4-mapped address",
    {},
    "05 01 00 05 01 00 04 10*00 FF FF 7F 00 00 01 PP",
    `05 00 ${OK}`,
  ],
  ["C3 a name", {}, '05 01 00 05 01 00 03 06 "v4only" PP', `05 00 ${OK}`],
  [
    "C8 a name with a trailing dot",
    {},
    '05 01 00 05 01 00 03 07 "v4only." PP',
    `05 00 ${OK}`,
  ],
  [
    "C12 a name whose first address refuses",
    {},
    '05 01 00 05 01 00 03 05 "mixed" PP',
    `05 00 ${OK}`,
  ],
  ["S1 SOCKS4", {}, "04 01 PP 7F 00 00 01 00", OK4],
  [
    "S10 SOCKS4 with a user id of 300 octets",
    {},
    "04 01 PP 7F 00 00 01 300*61 00",
    OK4,
  ],
  ["S2 SOCKS4a", {}, '04 01 PP 00 00 00 01 "alice" 00 "v4only" 00', OK4],
  [
    "SOCKS4 when a login is served, and method 00 as well",
    either,
    "04 01 PP 7F 00 00 01 00",
    OK4,
  ],
];

const names: Record<string, string[]> = {
  "v4only": ["127.0.0.1"],
  "v4only.": ["127.0.0.1"],
  "v6only": ["::1"],
  "mixed": ["::1", "127.0.0.1"],
};

async function withNames(): Promise<ServeOptions> {
  return {
    transport: {
      ...await detectTransport(),
      lookup: (name) =>
        names[name]
          ? Promise.resolve(names[name])
          : Promise.reject(new NetError("dns", `no such name: ${name}`)),
    },
  };
}

for (const [name, options, sent, received] of grants) {
  test(`serve() grants ${name}`, async () => {
    const target = await startTarget(echo);
    const server = await startServer({
      ...unhurried,
      ...await withNames(),
      ...options,
    });
    const handshake = octets(sent.replace("PP", port(target.addr.port)));
    const early = octets('"early"');
    for (const how of ["whole", "split", "with data after it"]) {
      const client = await server.client();
      const message = how.includes("data") ? join(handshake, early) : handshake;
      await send(client, message, how === "split");
      const size = received.replace("BB", "00 00").split(" ").length;
      const answer = hex(await readExactly(client, size));
      const outgoing = (await target.accepted()).remoteAddr.port;
      assertEquals(answer, received.replace("BB", port(outgoing)), how);
      if (how.includes("data")) {
        assertEquals(await readExactly(client, early.length), early);
      }
      await client.write(octets('"more"'));
      await client.closeWrite();
      assertEquals(await readAll(client), octets('"more"'));
      client.close();
      assertEquals((await server.ended()).reason, "finished");
    }
    await server.close();
    await target.close();
  });
}

test("serve() grants C2 an IPv6 target with a reply of 22 octets", async () => {
  const target = await startTarget(echo, "::1");
  const server = await startServer(await withNames());
  const pp = port(target.addr.port);
  for (
    const address of [
      "04 15*00 01", // C2
      '03 03 "::1"', // C6
      '03 06 "v6only"', // C4
    ]
  ) {
    const client = await server.client();
    await client.write(octets(`05 01 00 05 01 00 ${address} ${pp}`));
    const answer = hex(await readExactly(client, 24));
    const bound = port((await target.accepted()).remoteAddr.port);
    assertEquals(
      answer,
      `05 00 ${hex(octets("05 00 00 04 15*00 01"))} ${bound}`,
    );
    client.close();
    await server.ended();
  }
  for (const name of ['"v6only" 00', '"::1" 00']) { // S4, S5
    const client = await server.client();
    await client.write(octets(`04 01 ${pp} 00 00 00 01 00 ${name}`));
    const answer = hex(await readExactly(client, 8));
    assertEquals(answer.slice(0, 5), "00 5a");
    client.close();
    await server.ended();
  }
  await server.close();
  await target.close();
});

test("serve() grants P4 a request followed by data after the greeting was answered", async () => {
  const target = await startTarget(echo);
  const server = await startServer();
  const client = await server.client();
  await client.write(octets("05 01 00"));
  assertEquals(hex(await readExactly(client, 2)), "05 00");
  const request = `${V4} "ping"`.replace("PP", port(target.addr.port));
  await client.write(octets(request));
  assertEquals(hex(await readExactly(client, 10)).slice(0, 11), "05 00 00 01");
  assertEquals(await readExactly(client, 4), octets('"ping"'));
  client.close();
  await server.ended();
  await server.close();
  await target.close();
});

test("serve() grants P5 a request followed by data and FIN", async () => {
  const target = await startTarget(echo);
  const server = await startServer();
  const client = await server.client();
  const request = `05 01 00 ${V4} "ping"`.replace("PP", port(target.addr.port));
  await client.write(octets(request));
  await client.closeWrite();
  const all = await readAll(client);
  assertEquals(all.slice(12), octets('"ping"'));
  assertEquals((await server.ended()).reason, "finished");
  await server.close();
  await target.close();
});

test("serve() passes on C25 the data of a target that sends first and half-closes", async () => {
  const target = await startTarget(async (conn) => {
    await conn.write(octets('"220 hello"'));
    await conn.closeWrite();
  });
  const server = await startServer();
  const client = await server.client();
  await client.write(
    octets(`05 01 00 ${V4}`.replace("PP", port(target.addr.port))),
  );
  const all = await readAll(client);
  assertEquals(all.slice(12), octets('"220 hello"'));
  // C27: the client can still send.
  await client.write(octets('"bye"'));
  await client.closeWrite();
  assertEquals(await readAll(await target.accepted()), octets('"bye"'));
  assertEquals((await server.ended()).reason, "finished");
  await server.close();
  await target.close();
});

const failures: [kind: NetErrorKind, rep: string][] = [
  ["refused", "05"], // C18
  ["host-unreachable", "04"], // C19
  ["net-unreachable", "03"], // C20
  ["dns", "04"], // C21
  ["timeout", "04"],
  ["denied", "02"],
  ["descriptors", "01"],
  ["other", "01"],
];

for (const [kind, rep] of failures) {
  test(`serve() answers REP ${rep} when dialling fails with ${kind}`, async () => {
    const server = await startServer({
      dial: () => Promise.reject(new NetError(kind)),
    });
    const client = await server.client();
    await client.write(octets("05 01 00 05 01 00 01 7F 00 00 01 00 50"));
    assertEquals(hex(await readAll(client)), `05 00 ${ERROR(rep)}`);
    client.close();
    const end = await server.ended();
    assertEquals(end.reason, "refused");
    assertEquals(end.session.reply, parseInt(rep, 16));
    const old = await server.client();
    await old.write(octets("04 01 00 50 7F 00 00 01 00"));
    assertEquals(hex(await readAll(old)), REFUSED4); // S12
    await server.close();
  });
}

test("serve() answers REP 05 when the target refuses", async () => {
  const server = await startServer();
  const pp = port(await closedPort());
  const client = await server.client();
  await client.write(octets(`05 01 00 05 01 00 01 7F 00 00 01 ${pp}`));
  assertEquals(hex(await readAll(client)), `05 00 ${ERROR("05")}`);
  await server.close();
});

test("serve() delivers an error reply whole when the client has sent more data", async () => {
  const server = await startServer();
  const pp = port(await closedPort());
  const client = await server.client();
  const request = octets(`05 01 00 05 01 00 01 7F 00 00 01 ${pp}`);
  await client.write(join(request, new Uint8Array(20_000)));
  assertEquals(hex(await readAll(client)), `05 00 ${ERROR("05")}`);
  await server.close();
});

test("serve() closes a refused connection within 10 seconds when the client does not", async () => {
  const server = await startServer();
  const client = await server.client();
  await client.write(octets("05 01 7F"));
  const started = performance.now();
  assertEquals(hex(await readAll(client)), "05 ff");
  // The client sends no FIN; the server closes the connection anyway.
  assertEquals((await server.ended()).reason, "no-method");
  assert(performance.now() - started < 10_000);
  assertEquals(server.server.sessions.length, 0);
  await server.close();
});
