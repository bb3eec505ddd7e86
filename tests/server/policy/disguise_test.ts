/** A denied address is not reached in any notation. */

import { assert, assertEquals } from "@std/assert";
import { cidrContains, parseCidr } from "../../../src/protocol/address.ts";
import type { PolicyRequest, ServeOptions } from "../../../src/server/mod.ts";
import { detectTransport } from "../../../src/transport/detect.ts";
import { NetError } from "../../../src/transport/errors.ts";
import type { Transport } from "../../../src/transport/transport.ts";
import { test } from "../../support/harness.ts";
import { disguises } from "../../support/disguises.ts";
import { octets } from "../../support/table.ts";
import { startServer, type TestServer } from "../../support/server.ts";
import { readExactly, until } from "../../transport/contract.ts";
import { ask, hex, port, REFUSED4, udp } from "../../support/raw.ts";

const LOOPBACK = ["127.0.0.0/8", "::1"].map((it) => parseCidr(it)!);

function isDenied(address: string): boolean {
  return LOOPBACK.some((it) => cidrContains(it, address));
}

/** Hosts in requests that resolvers parse as 127.0.0.1, or that the network routes there. */
const SPELLINGS: readonly string[] = [
  ...disguises([127, 0, 0, 1]),
  "0X7F.0X0.0X0.0X1",
  "0x000000007f.1",
  "127.255.255.255",
  "::ffff:127.0.0.1",
  "::FFFF:7F00:1",
  "0:0:0:0:0:ffff:127.0.0.1",
  "64:ff9b::127.0.0.1",
  "64:FF9B::7F00:1",
  "2002:7f00:1::",
  "2002:7f00:0001::1",
  "::1",
  "0:0:0:0:0:0:0:0001",
];

/** Hosts that sockets treat as loopback. In a BIND they mean any peer. */
const ZEROS: readonly string[] = [
  ...disguises([0, 0, 0, 0]),
  "::",
  "0::0.0.0.0",
  "::ffff:0.0.0.0",
  "::ffff:0:0",
];

/** ATYP and ADDR of {@linkcode SPELLINGS}. */
const ADDRESSES: readonly string[] = [
  "01 7F 00 00 01",
  "01 7F FF FF FF",
  "04 10*00 FF FF 7F 00 00 01",
  "04 00 64 FF 9B 8*00 7F 00 00 01",
  "04 20 02 7F 00 00 01 10*00",
  "04 15*00 01",
  ...SPELLINGS.map(named),
];

/** ATYP and ADDR of {@linkcode ZEROS}. */
const ZERO_ADDRESSES: readonly string[] = [
  "01 00 00 00 00",
  "04 16*00",
  "04 10*00 FF FF 00 00 00 00",
  ...ZEROS.map(named),
];

/** Invalid hosts, which neither the policy nor the resolver is asked about. */
const NO_HOSTS: readonly string[] = [
  "127.0.0.256",
  "127.0.0.0.1",
  "0x17f000001",
  "127.0.0.08",
  "localhost.1",
  "127.0.0.1..",
  "%31%32%37.1",
  "127.0.0.1%00",
  "127.0.0.1\0.example.com",
  "127.0.0.1 ",
  "127.0.0.1/8",
  "127.0.0.1:80",
  "[::ffff:127.0.0.1]",
  "\uff11\uff12\uff17.1",
  "::ffff:127.1",
  "::1%lo",
];

function named(host: string): string {
  const name = new TextEncoder().encode(host);
  return `03 ${hex(Uint8Array.of(name.length, ...name))}`;
}

interface World {
  readonly server: TestServer;
  /** The questions to the policy. */
  readonly asked: PolicyRequest[];
  readonly lookups: string[];
  /** The targets of connections and datagrams that were not denied. */
  readonly reached: string[];
  /**
   * Resolves with REP of the first reply to a SOCKS5 request, by default
   * CONNECT, with this ATYP and ADDR.
   */
  request(address: string, command?: string): Promise<number>;
}

/** Runs a server that reaches no target, and whose policy denies loopback by the address only. */
async function withServer(
  run: (world: World) => Promise<void>,
  names: Record<string, string[][]> = {},
): Promise<void> {
  const transport = await detectTransport();
  const asked: PolicyRequest[] = [];
  const lookups: string[] = [];
  const reached: string[] = [];
  const options: ServeOptions = {
    transport: {
      ...transport,
      lookup(name) {
        lookups.push(name);
        const answers = names[name] ?? [];
        const found = answers.length > 1 ? answers.shift() : answers[0];
        if (found) return Promise.resolve(found);
        return Promise.reject(new NetError("dns", `no such name: ${name}`));
      },
      connect({ hostname }) {
        reached.push(hostname);
        return Promise.reject(new NetError("refused", "nobody is reached"));
      },
      datagrams: (...args) => openDatagrams(transport, reached, ...args),
    },
    policy(request) {
      asked.push(request);
      const { address } = request;
      return address === undefined || !isDenied(address);
    },
  };
  const server = await startServer(options);
  await run({
    server,
    asked,
    lookups,
    reached,
    async request(address, command = "01") {
      const client = await ask(server, `${command} 00 ${address} 00 50`);
      client.conn.close();
      return client.rep;
    },
  });
  await server.close();
}

/** Opens a socket. Those for targets, on all addresses, record the targets and send nothing. */
async function openDatagrams(
  transport: Transport,
  reached: string[],
  ...[options, onDatagram]: Parameters<Transport["datagrams"]>
): ReturnType<Transport["datagrams"]> {
  const socket = await transport.datagrams(options, onDatagram);
  if (!["0.0.0.0", "::"].includes(options.hostname)) return socket;
  return {
    addr: socket.addr,
    send: (_, hostname) => reached.push(hostname),
    close: () => socket.close(),
  };
}

test("serve() denies every notation of an address to a SOCKS5 CONNECT", async () => {
  await withServer(async ({ request, asked, lookups, reached }) => {
    const addresses = [...ADDRESSES, ...ZERO_ADDRESSES];
    for (const address of addresses) {
      assertEquals(await request(address), 2, address);
    }
    assertEquals(asked.length, addresses.length);
    for (const { address } of asked) {
      assert(address && isDenied(address), address);
    }
    assertEquals([...lookups, ...reached], []);
  });
});

test("serve() denies every notation of an address to BIND", async () => {
  await withServer(async ({ request, asked, lookups, reached }) => {
    for (const address of ADDRESSES) {
      assertEquals(await request(address, "02"), 2, address);
    }
    assertEquals(asked.length, ADDRESSES.length);
    for (const { command, address } of asked) {
      assert(command === "bind" && address && isDenied(address), address);
    }
    assertEquals([...lookups, ...reached], []);
  });
});

test("serve() denies every notation of an address to CONNECT of SOCKS4 and 4a", async () => {
  await withServer(async ({ server, asked, lookups, reached }) => {
    const requests = [...SPELLINGS, ...ZEROS]
      .map((it) => `00 00 00 01 00 "${it}" 00`);
    requests.push("7F 00 00 01 00", "00 00 00 00 00");
    for (const request of requests) {
      const conn = await server.client();
      await conn.write(octets(`04 01 00 50 ${request}`));
      assertEquals(hex(await readExactly(conn, 8)), REFUSED4, request);
      conn.close();
    }
    assertEquals(asked.length, requests.length);
    assertEquals([...lookups, ...reached], []);
  });
});

test("serve() denies every notation of an address to datagrams", async () => {
  await withServer(async ({ server, asked, lookups, reached }) => {
    const own = await udp();
    const { conn, bound } = await ask(server, "03 00 01 6*00");
    const [session] = server.server.sessions;
    const addresses = [...ADDRESSES, ...ZERO_ADDRESSES];
    for (const [i, address] of addresses.entries()) {
      // Each has its own port, because a verdict on a target is kept for a while.
      own.send(`00 00 00 ${address} ${port(1 + i)} "ping"`, bound);
      await until(() => session.datagrams!.dropped === i + 1);
    }
    assertEquals(asked.map((it) => it.port), addresses.map((_, i) => 1 + i));
    assertEquals([...lookups, ...reached], []);
    // The test would prove nothing if no target could be reached.
    own.send('00 00 00 01 80 00 00 01 00 50 "ping"', bound);
    await until(() => session.datagrams!.sent === 1);
    assertEquals(reached, ["128.0.0.1"]);
    conn.close();
    own.close();
  });
});

test("serve() rejects texts that resemble a denied address without asking the policy", async () => {
  await withServer(async ({ server, asked, lookups, reached }) => {
    const own = await udp();
    const { conn, bound } = await ask(server, "03 00 01 6*00");
    const [session] = server.server.sessions;
    for (const [i, host] of NO_HOSTS.entries()) {
      const client = await server.client();
      await client.write(octets(`05 01 00 05 01 00 ${named(host)} 00 50`));
      assertEquals(hex(await readExactly(client, 4)), "05 00 05 04", host);
      client.close();
      own.send(`00 00 00 ${named(host)} 00 50 "ping"`, bound);
      await until(() => session.datagrams!.dropped === i + 1);
    }
    assertEquals(asked, []);
    assertEquals([...lookups, ...reached], []);
    conn.close();
    own.close();
  });
});

/** The addresses of names, and those of them that are reached. */
const NAMES: Record<string, [answer: string[], reached: string[]]> = {
  "plain.test": [["127.0.0.1"], []],
  "mapped.test": [["::ffff:127.0.0.1"], []],
  "translated.test": [["64:ff9b::7f00:1", "2002:7f00:1::"], []],
  "zero.test": [["0.0.0.0", "::", "::ffff:0.0.0.0"], []],
  "mixed.test": [["127.0.0.1", "192.0.2.1", "::ffff:127.0.0.2"], [
    "192.0.2.1",
  ]],
};

test("serve() does not reach a denied address by a name", async () => {
  const names = Object.fromEntries(
    Object.entries(NAMES).map(([name, [answer]]) => [name, [answer]]),
  );
  await withServer(async ({ request, lookups, reached }) => {
    for (const [name, [, expected]] of Object.entries(NAMES)) {
      for (const spelt of [name, name.toUpperCase(), `${name}.`]) {
        // Allowed addresses are tried, and refuse.
        const rep = expected.length > 0 ? 5 : 2;
        assertEquals(await request(named(spelt)), rep, spelt);
        assertEquals(lookups.splice(0), [name]);
        assertEquals(reached.splice(0), expected);
      }
    }
  }, names);
});

test("serve() resolves a name once, so that its address cannot change after the check", async () => {
  const changing = () => [["192.0.2.1"], ["127.0.0.1"]];
  const names = { "tcp.test": changing(), "udp.test": changing() };
  await withServer(async ({ server, request, asked, lookups, reached }) => {
    assertEquals(await request(named("tcp.test")), 5);
    assertEquals(asked.map((it) => it.address), [undefined, "192.0.2.1"]);
    assertEquals([lookups, reached], [["tcp.test"], ["192.0.2.1"]]);
    assertEquals(await request(named("tcp.test")), 2);
    assertEquals(reached, ["192.0.2.1"]);

    const own = await udp();
    const { conn, bound } = await ask(server, "03 00 01 6*00");
    const session = server.server.sessions.find(({ datagrams }) => datagrams)!;
    for (let i = 1; i <= 3; i++) {
      own.send(`00 00 00 ${named("udp.test")} 00 50 "ping"`, bound);
      await until(() => session.datagrams!.sent === i);
    }
    assertEquals(lookups.slice(2), ["udp.test"]);
    assertEquals(reached.slice(1), ["192.0.2.1", "192.0.2.1", "192.0.2.1"]);
    conn.close();
    own.close();
  }, names);
});
