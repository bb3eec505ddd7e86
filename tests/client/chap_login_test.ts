/** `chapLogin()` against scripted proxies. */

import { assertMatch, assertRejects } from "@std/assert";
import {
  anonymous,
  chapLogin,
  connect,
  passwordLogin,
  SocksError,
  type SocksErrorCode,
} from "../../src/client/mod.ts";
import { test } from "../support/harness.ts";
import {
  assertClosesConnection,
  assertClosesGiven,
  assertGivesUp,
  assertSocksError,
  type Script,
  startProxy,
} from "../support/scripted.ts";
import { TARGET } from "../support/socks5_wire.ts";
import { settled } from "../transport/contract.ts";

const REQUEST: Script[number] = [
  "05 01 00 01 C0 00 02 01 00 50",
  "05 00 00 01 0A 00 00 01 12 34",
];

const plain = { protocol: "socks5" } as const;
// Test case 2 of RFC 2202: the key, the data, and their HMAC-MD5
const login = { username: "al", password: "Jefe" };
const CHALLENGE = '03 1C "what do ya want for nothing?"';
const RESPONSE = "01 01 04 10 75 0c 78 3e 6a b0 b5 03 ea a8 6e 31 0a 5d b7 38";

const OFFER = '01 02 11 01 85 02 02 "al"';
const CHOICE = `01 02 11 01 85 ${CHALLENGE}`;
const ACCEPTED = "01 01 00 01 00";

for (const split of [false, true]) {
  test(`connect() logs in by CHAP to a proxy that sends ${split ? "single octets" : "whole messages"}`, async () => {
    for (
      const [choice, verdict] of [
        [CHOICE, ACCEPTED],
        [
          `01 04 01 02 "hi" ${CHALLENGE} 11 01 85 EE 01 00`,
          '01 02 01 02 "hi" 00 01 00',
        ],
      ]
    ) {
      const proxy = await startProxy([
        ["05 01 03", "05 03"],
        [OFFER, choice],
        [RESPONSE, verdict],
        REQUEST,
      ], split);
      const conn = await connect(
        { ...plain, ...login, ...proxy.addr },
        TARGET,
        {
          auth: [chapLogin()],
        },
      );
      conn.close();
      await assertClosesConnection(proxy.rest);
      await proxy.close();
    }
  });
}

test("connect() offers CHAP in the order of auth, and by default not at all", async () => {
  const offers = [
    [[chapLogin(), passwordLogin(), anonymous()], "05 03 03 02 00"],
    [[anonymous(), chapLogin()], "05 02 00 03"],
    [undefined, "05 02 00 02"],
  ] as const;
  for (const [auth, greeting] of offers) {
    const proxy = await startProxy([[greeting, "05 FF"]]);
    const attempt = connect({ ...plain, ...login, ...proxy.addr }, TARGET, {
      auth,
    });
    await assertSocksError(attempt, "no-method", "method");
    await proxy.close();
  }
});

/** What a proxy sends after the offer and after the response, and the error. */
const failures: [string, string, string | undefined, SocksErrorCode, RegExp][] =
  [
    [
      "refuses the offer",
      "01 01 00 01 01",
      undefined,
      "login-failed",
      /refused the login/,
    ],
    [
      "refuses the response",
      CHOICE,
      "01 01 00 01 01",
      "login-failed",
      /refused the login/,
    ],
    [
      "sends an empty status",
      CHOICE,
      "01 01 00 00",
      "login-failed",
      /refused the login/,
    ],
    [
      "sends a status of two octets",
      CHOICE,
      "01 01 00 02 00 00",
      "login-failed",
      /refused/,
    ],
    [
      "accepts without a challenge",
      ACCEPTED,
      undefined,
      "protocol",
      /without a response/,
    ],
    [
      "accepts beside the challenge",
      `01 03 00 01 00 11 01 85 ${CHALLENGE}`,
      undefined,
      "protocol",
      /without a response/,
    ],
    [
      "chooses another algorithm",
      `01 02 11 01 86 ${CHALLENGE}`,
      undefined,
      "protocol",
      /HMAC-MD5/,
    ],
    [
      "chooses two algorithms",
      `01 02 11 02 85 86 ${CHALLENGE}`,
      undefined,
      "protocol",
      /HMAC-MD5/,
    ],
    [
      "chooses no algorithm",
      `01 01 ${CHALLENGE}`,
      undefined,
      "protocol",
      /HMAC-MD5/,
    ],
    [
      "sends no challenge",
      "01 01 11 01 85",
      undefined,
      "protocol",
      /no challenge/,
    ],
    [
      "sends an empty challenge",
      "01 02 11 01 85 03 00",
      undefined,
      "protocol",
      /no challenge/,
    ],
    [
      "sends two challenges",
      `01 03 11 01 85 ${CHALLENGE} ${CHALLENGE}`,
      undefined,
      "protocol",
      /twice/,
    ],
    [
      "sends another challenge in place of the status",
      CHOICE,
      CHOICE,
      "protocol",
      /no status/,
    ],
    [
      "sends two statuses",
      CHOICE,
      "01 02 00 01 00 00 01 01",
      "protocol",
      /twice/,
    ],
    ["sends no attribute", "01 00", undefined, "protocol", /no attribute/],
    ["sends another version", "05 00", undefined, "protocol", /version/],
    [
      "sends too long a message",
      `01 09 ${"01 FF 255*61 ".repeat(8)}`,
      undefined,
      "protocol",
      /too long/,
    ],
  ];

for (const [name, choice, verdict, code, message] of failures) {
  test(`connect() rejects with ${code} when the proxy of chapLogin() ${name}`, async () => {
    const script: Script = [
      ["05 01 03", "05 03"],
      [OFFER, choice],
      ...verdict === undefined ? [] : [[RESPONSE, verdict] as const],
    ];
    const proxy = await startProxy(script);
    const attempt = connect({ ...plain, ...login, ...proxy.addr }, TARGET, {
      auth: [chapLogin()],
    });
    const error = await assertSocksError(attempt, code, "auth");
    assertMatch(error.message, message);
    await assertClosesConnection(proxy.rest);
    await proxy.close();
  });
}

test("connect() rejects with proxy-closed when the proxy of chapLogin() leaves", async () => {
  for (
    const sends of ["", "01", "01 02 11 01 85", "01 02 11 01 85 03 20 16*C7"]
  ) {
    const proxy = await startProxy([["05 01 03", "05 03"], [OFFER, sends]]);
    const attempt = connect({ ...plain, ...login, ...proxy.addr }, TARGET, {
      auth: [chapLogin()],
    });
    await proxy.played;
    for (const conn of proxy.conns) conn.close();
    await assertSocksError(attempt, "proxy-closed", "auth");
    await proxy.close();
  }
});

test("connect() gives up a login by CHAP when the proxy is silent", async () => {
  await assertGivesUp("auth", async ({ options, giveUp }) => {
    const proxy = await startProxy([["05 01 03", "05 03"], [OFFER, ""]]);
    const attempt = connect({ ...plain, ...login, ...proxy.addr }, TARGET, {
      ...options,
      auth: [chapLogin()],
    });
    proxy.played.then(settled).then(giveUp);
    const error = await assertRejects(() => attempt, SocksError);
    if (error.phase === "auth") await assertClosesConnection(proxy.rest);
    await proxy.close();
    return error;
  });
});

test("connect() throws a TypeError when chapLogin() has no login to send", async () => {
  const proxy = { ...plain, hostname: "unused" };
  await assertClosesGiven([
    (conn) => connect(proxy, TARGET, { auth: [chapLogin()], conn }),
  ]);
});
