/** The doors into sockets, agents and `fetch()` through foreign servers. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import * as http from "node:http";
import type * as net from "node:net";
import { agents } from "../../src/doors/agent/mod.ts";
import { createFetch } from "../../src/doors/fetch/mod.ts";
import {
  type ConnectError,
  dialSocket,
  SocksSocket,
} from "../../src/doors/socket/mod.ts";
import { test } from "../support/harness.ts";
import { closedPort } from "../support/server.ts";
import { assertSameOctets } from "../transport/contract.ts";
import { startRelay } from "./counting_relay.ts";
import { type Login, type ProxyKind, proxyKinds } from "./proxies.ts";
import {
  answerAtEnd,
  answerTo,
  block,
  echo,
  speakFirst,
  startHttp,
  startTarget,
  type Target,
} from "./targets.ts";

const hostname = "127.0.0.1";

/** The target of a test, and the proxy in front of it. */
interface Context {
  readonly target: Target;
  /** The URL of the proxy; by default with its first protocol and its login. */
  url(protocol?: string, login?: Login): string;
}

/** Passes if all connections to the target have come through the proxy. */
function check(
  kind: ProxyKind,
  does: string,
  start: () => Promise<Target>,
  body: (context: Context) => Promise<void>,
): void {
  test(`${does} through ${kind.name}`, async () => {
    const target = await start();
    try {
      await kind.run(async (port) => {
        const relay = await startRelay(port);
        const url = (
          protocol: string = kind.protocols[0],
          login: Login | undefined = kind.login,
        ) => {
          const text = login
            ? `${login.username}:${encodeURIComponent(login.password)}@`
            : "";
          return `${protocol}://${text}${hostname}:${relay.port}`;
        };
        try {
          await body({ target, url });
          const { connections } = target;
          assert(connections <= relay.connections, `${connections}`);
        } finally {
          await relay.close();
        }
      });
    } finally {
      await target.close();
    }
  }, { skip: kind.skip });
}

/** Reads from a socket until `size` bytes have arrived, or until its end. */
async function read(socket: net.Socket, size = Infinity): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let have = 0;
  await new Promise<void>((resolve, reject) => {
    socket.on("data", (chunk: Uint8Array) => {
      chunks.push(chunk);
      have += chunk.length;
      if (have >= size) resolve();
    });
    socket.on("end", resolve).on("error", reject);
  });
  return Buffer.concat(chunks);
}

async function close(socket: net.Socket): Promise<void> {
  socket.destroy();
  if (!socket.closed) await once(socket, "close");
}

for (const kind of proxyKinds) {
  check(
    kind,
    "SocksSocket reaches the target by every protocol",
    () => startTarget(echo),
    async ({ target: { port }, url }) => {
      for (const protocol of kind.protocols) {
        const hasNames = /[ah]$|http/.test(protocol);
        for (const host of hasNames ? [hostname, "localhost"] : [hostname]) {
          const socket = new SocksSocket(url(protocol));
          socket.connect({ host, port });
          socket.write("hello"); // waits for the connection
          const answer = await read(socket, 5);
          assertEquals(new TextDecoder().decode(answer), "hello");
          await close(socket);
        }
      }
    },
  );

  check(
    kind,
    "dialSocket() keeps the first bytes of the target for a late reader",
    () => startTarget(speakFirst("220 ready\r\n")),
    async ({ target, url }) => {
      const to = { hostname, port: target.port };
      const sockets: net.Socket[] = [];
      for (let i = 0; i < 10; i++) sockets.push(await dialSocket(url(), to));
      for (const socket of sockets) {
        const greeting = await read(socket, 11);
        assertEquals(new TextDecoder().decode(greeting), "220 ready\r\n");
        await close(socket);
      }
    },
  );

  if (!kind.oneWay) {
    check(
      kind,
      "dialSocket() returns the answer that the target sends after FIN",
      () => startTarget(answerAtEnd),
      async ({ target, url }) => {
        const to = { hostname, port: target.port };
        const socket = await dialSocket(url(), to);
        socket.end(block(0));
        assertSameOctets(await read(socket), answerTo(block(0)));
        await close(socket);
      },
    );
  }

  check(
    kind,
    "dialSocket() rejects with the code of a target that refuses",
    () => startTarget(echo),
    async ({ url }) => {
      const port = await closedPort();
      const error = await assertRejects(() =>
        dialSocket(url(), { hostname, port })
      ) as ConnectError;
      const expected = kind.refusal ? "ECONNREFUSED" : "ECONNRESET";
      assertEquals(error.code, expected);
      assertEquals(error.cause.hop?.number, 1);
    },
  );

  if (kind.login) {
    const wrong = { ...kind.login, password: "wrong" };
    check(
      kind,
      "dialSocket() rejects with EACCES for a wrong login",
      () => startTarget(echo),
      async ({ target, url }) => {
        const to = { hostname, port: target.port };
        const error = await assertRejects(() =>
          dialSocket(url(undefined, wrong), to)
        ) as ConnectError;
        assertEquals(error.code, "EACCES");
        assertEquals(target.connections, 0);
      },
    );
  }

  check(
    kind,
    "agents() and createFetch() send requests",
    startHttp,
    async ({ target: { port }, url }) => {
      const to = `http://${hostname}:${port}/`;
      const agent = agents(url()).http;
      const [response] = await once(http.get(to, { agent }), "response");
      assertEquals(new TextDecoder().decode(await read(response)), "hello");
      agent.destroy();
      const fetch = createFetch(url());
      try {
        for (let i = 0; i < 3; i++) {
          assertEquals(await (await fetch(to)).text(), "hello");
        }
      } finally {
        await fetch.close();
      }
    },
  );
}
