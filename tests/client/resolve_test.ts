/** Look-ups through a proxy: RESOLVE and RESOLVE_PTR. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  resolve,
  reverse,
  socks,
  SocksError,
  type SocksErrorCode,
} from "../../src/client/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { test } from "../support/harness.ts";
import {
  assertClosesConnection,
  assertClosesGiven,
  assertGivesUp,
  assertSocksError,
  type Script,
  startProxy,
} from "../support/scripted.ts";
import { startServer } from "../support/server.ts";
import { settled } from "../transport/contract.ts";

const IPV4 = "192.0.2.1";
const SIX = "20 01 0D B8 11*00 01";
const NAME = '03 08 "one.test" 00 00';
const ASK = '05 F0 00 03 08 "one.test" 00 00';
const ASK_PTR = "05 F1 00 01 C0 00 02 01 00 00";
const NO_LOGIN = ["05 01 00", "05 00"] as const;

type LookUp = typeof resolve;

/** A row: name, look-up, protocol, subject, script, answer. */
type Wire = readonly [string, LookUp, string, string, Script, string];
const WIRES: readonly Wire[] = [
  ["resolve() returns an IPv4 address", resolve, "socks5h", "one.test", [
    NO_LOGIN,
    [ASK, "05 00 00 01 C0 00 02 01 00 00"],
  ], IPV4],
  ["resolve() returns an IPv6 address", resolve, "socks5h", "one.test", [
    NO_LOGIN,
    [ASK, `05 00 00 04 ${SIX} 00 00`],
  ], "2001:db8::1"],
  [
    "resolve() asks the proxy also with socks5:",
    resolve,
    "socks5",
    "One.Test.",
    [
      NO_LOGIN,
      ['05 F0 00 03 09 "One.Test." 00 00', "05 00 00 01 C0 00 02 01 12 34"],
    ],
    IPV4,
  ],
  ["resolve() uses SOCKS4a", resolve, "socks4a", "one.test", [
    [
      '04 F0 00 00 00 00 00 01 00 "one.test" 00',
      "00 5A 00 00 C0 00 02 01",
    ],
  ], IPV4],
  ["reverse() returns a name", reverse, "socks5", IPV4, [
    NO_LOGIN,
    [ASK_PTR, `05 00 00 ${NAME}`],
  ], "one.test"],
  [
    "reverse() finds the name of an IPv6 address",
    reverse,
    "socks5h",
    "[2001:db8::1]",
    [
      NO_LOGIN,
      [`05 F1 00 04 ${SIX} 00 00`, `05 00 00 ${NAME}`],
    ],
    "one.test",
  ],
];

for (const [name, lookUp, protocol, subject, script, answer] of WIRES) {
  test(name, async () => {
    const proxy = await startProxy(script);
    const url = `${protocol}://127.0.0.1:${proxy.addr.port}`;
    assertEquals(await lookUp(url, subject), answer);
    await assertClosesConnection(proxy.rest);
    await proxy.close();
  });
}

/** A row: name, look-up, subject, last reply, code, reply of the error. */
type Failure = readonly [
  string,
  LookUp,
  string,
  string,
  SocksErrorCode,
  number?,
];
const FAILURES: readonly Failure[] = [
  [
    "resolve() rejects when the name has no address",
    resolve,
    "one.test",
    "05 04 00 01 6*00",
    "rejected",
    4,
  ],
  [
    "resolve() rejects when the proxy lacks the command",
    resolve,
    "one.test",
    "05 07 00 01 6*00",
    "rejected",
    7,
  ],
  [
    "resolve() rejects when the reply has a name",
    resolve,
    "one.test",
    `05 00 00 ${NAME}`,
    "protocol",
  ],
  [
    "resolve() rejects when the reply has zeros",
    resolve,
    "one.test",
    "05 00 00 01 6*00",
    "protocol",
  ],
  [
    "reverse() rejects when the reply has an address",
    reverse,
    IPV4,
    "05 00 00 01 C0 00 02 01 00 00",
    "protocol",
  ],
  [
    "reverse() rejects when the reply has a broken name",
    reverse,
    IPV4,
    '05 00 00 03 05 "a b c" 00 00',
    "protocol",
  ],
];

for (const [name, lookUp, subject, reply, code, number] of FAILURES) {
  test(name, async () => {
    const ask = lookUp === resolve ? ASK : ASK_PTR;
    const proxy = await startProxy([NO_LOGIN, [ask, reply]]);
    const url = `socks5h://127.0.0.1:${proxy.addr.port}`;
    const error = await assertSocksError(lookUp(url, subject), code, "request");
    assertEquals(error.reply, number);
    await assertClosesConnection(proxy.rest);
    await proxy.close();
  });
}

/** Nothing listens there, and nothing is asked. */
const NOWHERE = "127.0.0.1:1";

for (
  const [lookUp, protocol] of [
    [resolve, "socks4"],
    [reverse, "socks4"],
    [reverse, "socks4a"],
  ] as const
) {
  test(`${lookUp.name}() rejects with unsupported over ${protocol}:`, async () => {
    const url = `${protocol}://${NOWHERE}`;
    const failing = lookUp(url, IPV4);
    const { message } = await assertSocksError(
      failing,
      "unsupported",
      "request",
    );
    assert(message.startsWith(`${protocol}: does not have RESOLVE`), message);
  });
}

const INVALID: readonly (readonly [LookUp, unknown])[] = [
  [resolve, ""],
  [resolve, "one.test:80"],
  [resolve, "https://one.test/"],
  [resolve, undefined],
  [resolve, { hostname: "one.test" }],
  [reverse, "one.test"],
  [reverse, "192.0.2.1:80"],
  [reverse, undefined],
];

for (const [lookUp, subject] of INVALID) {
  const shown = JSON.stringify(subject);
  test(`${lookUp.name}() rejects with a TypeError for ${shown}`, async () => {
    const url = `socks5h://${NOWHERE}`;
    await assertRejects(() => lookUp(url, subject as string), TypeError);
    await assertClosesGiven([
      (conn) => lookUp(url, subject as string, { conn }),
    ]);
  });
}

for (const lookUp of [resolve, reverse] as LookUp[]) {
  test(`${lookUp.name}() refuses unknown options`, async () => {
    const options = { timeOut: 5 } as object;
    await assertRejects(
      () => lookUp(`socks5h://${NOWHERE}`, IPV4, options),
      TypeError,
      "timeout",
    );
  });

  test(`${lookUp.name}() rejects with timeout or aborted, and closes the connection`, async () => {
    const ask = lookUp === resolve ? ASK : ASK_PTR;
    const subject = lookUp === resolve ? "one.test" : IPV4;
    await assertGivesUp("request", async ({ options, giveUp }) => {
      const proxy = await startProxy([NO_LOGIN, [ask, ""]]);
      const url = `socks5h://127.0.0.1:${proxy.addr.port}`;
      const asking = lookUp(url, subject, options);
      proxy.played.then(settled).then(giveUp);
      const error = await assertRejects(() => asking, SocksError);
      if (error.phase === "request") await assertClosesConnection(proxy.rest);
      await proxy.close();
      return error;
    });
  });
}

test("socks() has resolve() and reverse(), also through a second proxy", async () => {
  const transport = {
    ...await detectTransport(),
    lookup: () => Promise.resolve(["192.0.2.1"]),
    reverse: () => Promise.resolve("one.test"),
  };
  const last = await startServer({ resolve: true, transport });
  const first = await startServer({
    resolve: true,
    dial: socks(`socks5://127.0.0.1:${last.server.addr.port}`),
  });
  const proxy = socks(`socks5h://127.0.0.1:${first.server.addr.port}`);
  assertEquals(await proxy.resolve("one.test"), "192.0.2.1");
  assertEquals(await proxy.reverse("192.0.2.1"), "one.test");
  const { session } = await last.ended();
  assertEquals([session.command, session.target?.hostname], [
    "resolve",
    "one.test",
  ]);
  await first.close();
  await last.close();
});
