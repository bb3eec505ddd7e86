/** CONNECT of our client through foreign servers. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type * as net from "node:net";
import {
  type ClientOptions,
  connect,
  type ProxyConfig,
  SocksError,
  type SocksErrorCode,
} from "../../src/client/mod.ts";
import type { Endpoint } from "../../src/protocol/address.ts";
import { test } from "../support/harness.ts";
import { closedPort } from "../support/server.ts";
import { assertSameOctets } from "../transport/contract.ts";
import { type Login, type ProxyKind, proxyKinds } from "./proxies.ts";
import {
  answerAtEnd,
  answerTo,
  block,
  blocks,
  checksum,
  echo,
  MIB,
  returnAfter,
  speakFirst,
  startTarget,
  type Target,
} from "./targets.ts";

type Protocol = ProxyConfig["protocol"];
const options: ClientOptions = { timeout: 20_000 };

/** The target of a test, and the proxy in front of it. */
interface Context {
  readonly target: Target;
  /** Returns the configuration of the proxy; by default its first protocol and its login. */
  proxy(protocol?: Protocol, login?: Partial<Login>): ProxyConfig;
}

function check(
  kind: ProxyKind,
  does: string,
  onConn: (socket: net.Socket) => void,
  body: (context: Context) => Promise<void>,
): void {
  test(`connect() through ${kind.name} ${does}`, async () => {
    const target = await startTarget(onConn);
    try {
      await kind.run((port) =>
        body({
          target,
          proxy: (
            protocol = kind.protocols[0],
            login: Partial<Login> = kind.login ?? {},
          ) => ({ protocol, hostname: "127.0.0.1", port, ...login }),
        })
      );
    } finally {
      await target.close();
    }
  }, { skip: kind.skip });
}

/** Reads from a stream until `size` bytes have arrived, or until its end. */
async function read(
  readable: ReadableStream<Uint8Array>,
  size = Infinity,
): Promise<Uint8Array> {
  const reader = readable.getReader();
  const chunks: Uint8Array[] = [];
  for (let have = 0; have < size;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    have += value.length;
  }
  reader.releaseLock();
  return Buffer.concat(chunks);
}

async function write(
  writable: WritableStream<Uint8Array>,
  octets: Uint8Array,
): Promise<void> {
  const writer = writable.getWriter();
  await writer.write(octets);
  writer.releaseLock();
}

async function exchange(proxy: ProxyConfig, target: Endpoint): Promise<void> {
  const conn = await connect(proxy, target, options);
  try {
    for (const word of ["hello", "again"]) {
      await write(conn.writable, new TextEncoder().encode(word));
      const answer = await read(conn.readable, word.length);
      assertEquals(new TextDecoder().decode(answer), word);
    }
  } finally {
    conn.close();
  }
}

async function failure(
  proxy: ProxyConfig,
  target: Endpoint,
): Promise<[SocksErrorCode, number | undefined]> {
  const error = await assertRejects(
    () => connect(proxy, target, options),
    SocksError,
  );
  return [error.code, error.reply];
}

for (const kind of proxyKinds) {
  for (const protocol of kind.protocols) {
    check(
      kind,
      `reaches the target by ${protocol}`,
      echo,
      ({ proxy, target: { port } }) =>
        exchange(proxy(protocol), { hostname: "127.0.0.1", port }),
    );
  }

  for (const protocol of kind.protocols.filter((it) => /[ah]$|http/.test(it))) {
    check(
      kind,
      `lets the proxy resolve a name by ${protocol}`,
      echo,
      ({ proxy, target: { port } }) =>
        exchange(proxy(protocol), { hostname: "localhost", port }),
    );
  }

  check(
    kind,
    kind.refusal
      ? `rejects with reply ${kind.refusal} when the target refuses`
      : "rejects with proxy-closed when the target refuses",
    echo,
    async ({ proxy }) => {
      const target = { hostname: "127.0.0.1", port: await closedPort() };
      const expected = kind.refusal ? "rejected" : "proxy-closed";
      const found = await failure(proxy(), target);
      assertEquals(found, [expected, kind.refusal]);
    },
  );

  check(
    kind,
    "returns the first bytes of a target that speaks first",
    speakFirst("220 ready\r\n"),
    async ({ proxy, target: { port } }) => {
      for (let i = 0; i < 20; i++) {
        const addr = { hostname: "127.0.0.1", port };
        const conn = await connect(proxy(), addr, options);
        const greeting = await read(conn.readable, 11);
        conn.close();
        assertEquals(new TextDecoder().decode(greeting), "220 ready\r\n");
      }
    },
  );

  if (!kind.oneWay) {
    check(
      kind,
      "returns the whole answer that the target sends after the client's FIN",
      answerAtEnd,
      async ({ proxy, target: { port } }) => {
        const addr = { hostname: "127.0.0.1", port };
        const conn = await connect(proxy(), addr, options);
        await write(conn.writable, block(0));
        await conn.writable.close();
        assertSameOctets(await read(conn.readable), answerTo(block(0)));
        conn.close();
      },
    );
  }

  check(
    kind,
    kind.oneWay
      ? "carries 20 MiB to the target, then 20 MiB back"
      : "carries 20 MiB both ways at once",
    kind.oneWay ? returnAfter(20) : echo,
    async ({ proxy, target: { port } }) => {
      const addr = { hostname: "127.0.0.1", port };
      const conn = await connect(proxy(), addr, options);
      const sending = (async () => {
        for await (const octets of blocks(20)) {
          await write(conn.writable, octets);
        }
      })();
      const hash = createHash("sha256");
      const reader = conn.readable.getReader();
      for (let left = 20 * MIB; left > 0;) {
        const { done, value } = await reader.read();
        assert(!done, `FIN with ${left} bytes missing`);
        hash.update(value);
        left -= value.length;
      }
      await sending;
      conn.close();
      assertEquals(hash.digest("hex"), checksum(20));
    },
  );

  if (!kind.login) continue;
  check(
    kind,
    "rejects with login-failed when the login is wrong",
    echo,
    async (context) => {
      const { proxy, target } = context;
      const addr = { hostname: "127.0.0.1", port: target.port };
      for (
        const login of [
          { ...kind.login, password: "wrong" },
          { ...kind.login, username: "bob" },
        ]
      ) {
        const found = await failure(proxy(undefined, login), addr);
        assertEquals(found, ["login-failed", undefined]);
      }
      assertEquals(target.connections, 0);
    },
  );

  check(
    kind,
    `rejects with ${kind.withoutLogin ?? "no-method"} when there is no login`,
    echo,
    async (context) => {
      const { proxy, target } = context;
      const addr = { hostname: "127.0.0.1", port: target.port };
      const found = await failure(proxy(undefined, {}), addr);
      assertEquals(found, [kind.withoutLogin ?? "no-method", undefined]);
    },
  );
}
