/**
 * Whole handshakes, octet by octet, for tests of the client against hostile proxies.
 *
 * @module
 */

import { chapLogin, type ClientOptions } from "../../src/client/mod.ts";
import { hmacMd5 } from "../../src/crypto/hmac_md5.ts";
import { join, octets } from "../support/table.ts";

/** The client's message, the proxy's answer, and what garbage does at each octet of that. */
export type Exchange = readonly [
  sends: string,
  answer: string,
  /**
   * What the client reports if the octet at this place and all later ones are garbage:
   * `P` protocol, `R` rejected, `L` login-failed, `.` nothing, because it ignores them, or
   * `T` timeout, because the message may go on.
   */
  garbage: string,
];

/** A handshake that succeeds. */
export interface Dialogue {
  readonly name: string;
  readonly proxy: string;
  readonly options?: ClientOptions;
  readonly exchanges: readonly Exchange[];
}

/** The target of all of them. */
export const TARGET = { hostname: "192.0.2.1", port: 80 };

const hex = (bytes: Uint8Array) =>
  [...bytes].map((it) => it.toString(16).padStart(2, "0")).join(" ");
const CHALLENGE = octets("16*C7");
const RESPONSE = hmacMd5(octets('"pw"'), CHALLENGE);

const CHOICE: Exchange = ["05 01 00", "05 00", "PP"];
const REQUEST: Exchange = [
  "05 01 00 01 C0 00 02 01 00 50",
  "05 00 00 01 0A 00 00 01 12 34",
  "PRPP......",
];
const ASKED =
  '"CONNECT 192.0.2.1:80 HTTP/1.1" 0D 0A "Host: 192.0.2.1:80" 0D 0A';

/** The handshakes of all protocols and of all methods without I/O. */
export const dialogues: readonly Dialogue[] = [
  {
    name: "SOCKS4",
    proxy: "socks4://al@127.0.0.1",
    exchanges: [[
      '04 01 00 50 C0 00 02 01 "al" 00',
      "00 5A 12 34 0A 00 00 01",
      "PP......", // VN is ignored
    ]],
  },
  {
    name: "SOCKS4a",
    proxy: "socks4a://127.0.0.1",
    exchanges: [[
      "04 01 00 50 C0 00 02 01 00",
      "00 5A 00 00 00 00 00 00",
      "PP......",
    ]],
  },
  {
    name: "SOCKS5",
    proxy: "socks5h://127.0.0.1",
    exchanges: [CHOICE, REQUEST],
  },
  {
    name: "SOCKS5 with a name as bound address",
    proxy: "socks5://127.0.0.1",
    exchanges: [CHOICE, [
      REQUEST[0],
      '05 00 00 03 05 "proxy" 12 34',
      "PRPP........",
    ]],
  },
  {
    name: "SOCKS5 with a password",
    proxy: "socks5h://al:pw@127.0.0.1",
    exchanges: [
      ["05 02 00 02", "05 02", "PP"],
      ['01 02 "al" 02 "pw"', "01 00", "LL"], // VER is ignored
      REQUEST,
    ],
  },
  {
    name: "SOCKS5 with CHAP",
    proxy: "socks5h://al:pw@127.0.0.1",
    options: { auth: [chapLogin()] },
    exchanges: [
      ["05 01 03", "05 03", "PP"],
      [
        '01 02 11 01 85 02 02 "al"',
        `01 02 11 01 85 03 10 ${hex(CHALLENGE)}`,
        `PTTTPPP${"P".repeat(16)}`,
      ],
      [`01 01 04 10 ${hex(RESPONSE)}`, "01 01 00 01 00", "PTPLL"],
      REQUEST,
    ],
  },
  {
    name: "HTTP",
    proxy: "http://127.0.0.1",
    exchanges: [[
      `${ASKED} 0D 0A`,
      '"HTTP/1.0 200" 0D 0A "Via: b" 0D 0A 0D 0A',
      "PPPPPPPTTTTTTPTTTTTTTPTP", // a line is read to its end,
    ]],
  },
  {
    name: "HTTP with a login and an interim response",
    proxy: "http://al:pw@127.0.0.1",
    exchanges: [[
      `${ASKED} "Proxy-Authorization: Basic ${btoa("al:pw")}" 0D 0A 0D 0A`,
      '"HTTP/1.1 103 E" 0D 0A 0D 0A "HTTP/1.1 200" 0A 0A',
      "PPPPPPPTTTTTTTTPTPPPPPPPPTTTTTTT",
    ]],
  },
];

/** Everything that the proxy sends. */
export function answersOf({ exchanges }: Dialogue): Uint8Array {
  return join(...exchanges.map(([, answer]) => octets(answer)));
}
