/** The effects of the policy on clients. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  Denial,
  type Endpoint,
  Metrics,
  type PolicyRequest,
  rules,
  type ServeOptions,
  type ServerUpdate,
  userPass,
} from "../../../src/server/mod.ts";
import { systemClock } from "../../../src/transport/clock.ts";
import { detectTransport } from "../../../src/transport/detect.ts";
import { OwnAddresses } from "../../../src/server/policy/own_addresses.ts";
import type { Conn, Transport } from "../../../src/transport/transport.ts";
import { NetError } from "../../../src/transport/errors.ts";
import { test } from "../../support/harness.ts";
import { octets } from "../../support/table.ts";
import {
  echo,
  startServer,
  startTarget,
  type TestServer,
} from "../../support/server.ts";
import {
  connectedPair,
  readExactly,
  settled,
  until,
} from "../../transport/contract.ts";

type Asked = [command: string, hostname: string, address: string | undefined];

function asked(requests: PolicyRequest[]): Asked[] {
  return requests.map((it) => [it.command, it.hostname, it.address]);
}

/** Sends a request without a login, and returns REP of the reply. */
async function replyTo(conn: Conn, request: string): Promise<number> {
  await conn.write(octets(`05 01 00 ${request}`));
  const [, , , reply] = await readExactly(conn, 4);
  return reply;
}

function hexPort(port: number): string {
  return port.toString(16).padStart(4, "0").replace(/^../, "$& ");
}

async function withServer(
  options: ServeOptions,
  run: (server: TestServer, port: number) => Promise<void>,
): Promise<void> {
  const target = await startTarget(echo);
  const server = await startServer(options);
  await run(server, target.addr.port);
  await server.close();
  await target.close();
}

test("serve() asks the policy about an address once, and answers REP 2 when it denies", async () => {
  const requests: PolicyRequest[] = [];
  let verdict = true;
  const policy = (request: PolicyRequest) => {
    requests.push(request);
    return verdict;
  };
  await withServer({ policy }, async (server, port) => {
    const request = `05 01 00 01 7F 00 00 01 ${hexPort(port)}`;
    assertEquals(await replyTo(await server.client(), request), 0);
    verdict = false;
    assertEquals(await replyTo(await server.client(), request), 2);
    const once: Asked = ["connect", "127.0.0.1", "127.0.0.1"];
    assertEquals(asked(requests), [once, once]);
    assertEquals(requests[0].port, port);
    assertEquals(requests[0].session.client.hostname, "127.0.0.1");
  });
});

test("serve() asks the policy about the IPv4 address in an IPv4-mapped one, and in a name that is an address", async () => {
  const requests: PolicyRequest[] = [];
  const policy = (request: PolicyRequest) => {
    requests.push(request);
    return false;
  };
  await withServer({ policy }, async (server, port) => {
    const mapped = `05 01 00 04 10*00 FF FF 7F 00 00 01 ${hexPort(port)}`;
    assertEquals(await replyTo(await server.client(), mapped), 2);
    const named = `05 01 00 03 09 "127.0.0.1" ${hexPort(port)}`;
    assertEquals(await replyTo(await server.client(), named), 2);
    assertEquals(requests.map((it) => it.address), ["127.0.0.1", "127.0.0.1"]);
  });
});

test("serve() asks the policy about a name, then about each of its addresses, and dials only allowed ones", async () => {
  const transport = await detectTransport();
  const dialled: string[] = [];
  const requests: PolicyRequest[] = [];
  await withServer({
    transport: {
      ...transport,
      lookup: () => Promise.resolve(["127.0.0.2", "127.0.0.1", "::1"]),
      connect(options) {
        dialled.push(options.hostname);
        return transport.connect(options);
      },
    },
    policy(request) {
      requests.push(request);
      return Promise.resolve(
        [undefined, "127.0.0.1"].includes(request.address),
      );
    },
  }, async (server, port) => {
    const request = `05 01 00 03 06 "target" ${hexPort(port)}`;
    assertEquals(await replyTo(await server.client(), request), 0);
    assertEquals(
      asked(requests),
      [undefined, "127.0.0.2", "127.0.0.1", "::1"].map((
        address,
      ) => ["connect", "target", address]),
    );
    assertEquals(dialled, ["127.0.0.1"]);
  });
});

test("serve() dials all allowed addresses of a name with many, and no other", async () => {
  const transport = await detectTransport();
  const addresses = Array.from({ length: 34 }, (_, i) => `192.0.2.${i + 1}`);
  const allowed = addresses.filter((_, i) => i % 2 === 1);
  const dialled: string[] = [];
  const judged: (string | undefined)[] = [];
  await withServer({
    transport: {
      ...transport,
      lookup: () => Promise.resolve(addresses),
      connect({ hostname }) {
        assert(judged.includes(hostname), "dialled before it was judged");
        dialled.push(hostname);
        return Promise.reject(new NetError("refused"));
      },
    },
    policy({ address }) {
      judged.push(address);
      return address === undefined || allowed.includes(address);
    },
  }, async (server, port) => {
    const request = `05 01 00 03 06 "target" ${hexPort(port)}`;
    assertEquals(await replyTo(await server.client(), request), 5);
    assertEquals(dialled, allowed);
  });
});

test("serve() does not resolve a name that the policy denies", async () => {
  const transport = await detectTransport();
  let lookups = 0;
  await withServer({
    transport: {
      ...transport,
      lookup() {
        lookups++;
        return Promise.resolve(["127.0.0.1"]);
      },
    },
    policy: ({ hostname }) => hostname !== "target",
  }, async (server, port) => {
    const request = `05 01 00 03 06 "target" ${hexPort(port)}`;
    assertEquals(await replyTo(await server.client(), request), 2);
    assertEquals(lookups, 0);
  });
});

test("serve() denies a request when the policy rejects", async () => {
  const policy = () => Promise.reject(new Error("out of order"));
  await withServer({ policy }, async (server, port) => {
    const request = `05 01 00 01 7F 00 00 01 ${hexPort(port)}`;
    assert(await replyTo(await server.client(), request) !== 0);
    const end = await server.ended();
    assertEquals([end.reason, end.error?.message], ["refused", "out of order"]);
    assert(end.error instanceof Denial);
    assert(server.events.some(({ type }) => type === "denied"));
  });
});

test("serve() denies a request when the policy returns no valid answer", async () => {
  const answers = [null, 1, "allow", "deny", {}, { verdict: "permit" }];
  for (const answer of answers) {
    const policy = () => answer as unknown as boolean;
    await withServer({ policy }, async (server, port) => {
      const client = await server.client();
      const request = `05 01 00 01 7F 00 00 01 ${hexPort(port)}`;
      assertEquals(await replyTo(client, request), 2, String(answer));
      client.close();
      assert((await server.ended()).error instanceof Denial);
    });
  }
});

test("serve() stops waiting for the policy when timeouts.connect expires", async () => {
  const policy = () => new Promise<boolean>(() => {});
  const timeouts = { connect: 20 };
  await withServer({ policy, timeouts }, async (server, port) => {
    const request = `05 01 00 01 7F 00 00 01 ${hexPort(port)}`;
    assertEquals(await replyTo(await server.client(), request), 4);
  });
});

test("serve() asks the policy about a name before a dialer resolves it, and about none of its addresses", async () => {
  const requests: PolicyRequest[] = [];
  const transport = await detectTransport();
  let port = 0;
  await withServer({
    policy(request) {
      requests.push(request);
      return request.hostname === "good";
    },
    dial: () => transport.connect({ hostname: "127.0.0.1", port }),
  }, async (server, targetPort) => {
    port = targetPort;
    const request = (name: string) => `05 01 00 03 04 "${name}" 00 50`;
    assertEquals(await replyTo(await server.client(), request("good")), 0);
    assertEquals(await replyTo(await server.client(), request("evil")), 2);
    assertEquals(asked(requests), [
      ["connect", "good", undefined],
      ["connect", "evil", undefined],
    ]);
  });
});

test("serve() asks the policy about an address with a dialer as without one", async () => {
  const dialled: string[] = [];
  const dial = ({ hostname }: Endpoint) => {
    dialled.push(hostname);
    return Promise.reject(new NetError("refused"));
  };
  const rows: [options: ServeOptions, host: string, reply: number][] = [
    [EXPOSED, "01 7F 00 00 01", 2],
    [EXPOSED, "04 10*00 FF FF 0A 00 00 01", 2],
    [EXPOSED, "01 08 08 08 08", 5],
    [EXPOSED, '03 06 "target"', 5],
    [{ ...EXPOSED, policy: rules(["allow 10.0.0.1"]) }, "01 0A 00 00 01", 5],
    [{ policy: rules(["deny 127.0.0.1"]) }, "01 00 00 00 00", 2],
    [{ policy: ({ address }) => address === undefined }, "01 08 08 08 08", 2],
  ];
  for (const [options, host, reply] of rows) {
    await withServer({ ...options, dial }, async ({ server, ended }) => {
      const { port } = server.addr;
      const transport = await detectTransport();
      const conn = await transport.connect({ hostname: "127.0.0.1", port });
      assertEquals(await replyTo(conn, `05 01 00 ${host} 00 50`), reply, host);
      conn.close();
      await ended();
    });
  }
  assertEquals(dialled, ["8.8.8.8", "target", "10.0.0.1"]);
});

const EXPOSED: ServeOptions = { hostname: "0.0.0.0", openProxy: true };

test("serve() denies special-purpose addresses beyond loopback unless a rule allows them", async () => {
  const lookup = () => Promise.resolve(["127.0.0.1"]);
  const transport = { ...await detectTransport(), lookup };
  const allow = (...texts: string[]) => ({ policy: rules(texts) });
  const rows: [options: ServeOptions, host: string, reply: number][] = [
    [{}, "01 7F 00 00 01", 2],
    [{}, "04 10*00 FF FF 7F 00 00 01", 2],
    [{}, '03 06 "target"', 2],
    [allow("allow *"), "01 7F 00 00 01", 2],
    [allow("deny 10.0.0.0/8"), "01 7F 00 00 01", 2],
    [allow("allow 127.0.0.0/8"), "01 7F 00 00 01", 0],
    [allow("allow 127.0.0.0/8"), '03 06 "target"', 0],
    [allow("allow target"), '03 06 "target"', 0],
    [allow("allow target"), "01 7F 00 00 01", 2],
    [{ policy: () => true }, "01 7F 00 00 01", 0],
    [{ hostname: "127.0.0.1", ...allow("allow *") }, "01 7F 00 00 01", 0],
  ];
  for (const [options, host, reply] of rows) {
    await withServer(
      { ...EXPOSED, transport, ...options },
      async (server, port) => {
        const conn = await transport.connect({
          hostname: "127.0.0.1",
          port: server.server.addr.port,
        });
        const request = `05 01 00 ${host} ${hexPort(port)}`;
        assertEquals(await replyTo(conn, request), reply, host);
        conn.close();
        await server.ended();
      },
    );
  }
});

const SERVER = ["198.51.100.1", "8.8.4.1", "8.8.4.2", "2a00::2"];

/**
 * The reasons why requests for these hosts are denied to a client that reached
 * the server at one of its addresses.
 */
async function deniedToClientOf(
  options: ServeOptions,
  hosts: readonly string[],
  reached = SERVER[1],
): Promise<(string | undefined)[]> {
  const transport = {
    ...await detectTransport(),
    ownAddresses: () => SERVER,
    connect: () => Promise.reject(new NetError("refused")),
  };
  const server = await startServer({ ...EXPOSED, transport, ...options });
  const denied: (string | undefined)[] = [];
  for (const host of hosts) {
    const { near, far, close } = await connectedPair(await detectTransport());
    const local = { hostname: reached, port: 1080 };
    server.server.handle(
      Object.defineProperty(far, "localAddr", { value: local }),
    );
    const reply = await replyTo(near, `05 01 00 ${host} 00 50`);
    near.close();
    const { error } = await server.ended();
    assertEquals(reply, error instanceof Denial ? 2 : 5, host);
    denied.push(error instanceof Denial ? error.rule : undefined);
    await close();
  }
  await server.close();
  return denied;
}

test("serve() denies all addresses of the server beyond loopback unless a rule allows them", async () => {
  const hosts = ["01 08 08 04 01", "01 08 08 04 02", "04 2A 00 13*00 02"];
  const other = "01 08 08 04 03";
  const own = ["8.8.4.1", "8.8.4.2", "2a00::2"]
    .map((it) => `the server's own address ${it}`);
  const anyone = { policy: rules(["allow *"]) };
  for (const options of [{}, anyone, { policy: rules(["deny *:25"]) }]) {
    const denied = await deniedToClientOf(options, [...hosts, other]);
    assertEquals(denied, [...own, undefined]);
  }
  const open = [
    { policy: rules(["allow 8.8.4.0/24,[2a00::2]"]) },
    { hostname: "127.0.0.1" },
  ];
  for (const options of open) {
    const denied = await deniedToClientOf(options, hosts);
    assertEquals(denied, [undefined, undefined, undefined]);
  }
});

test("serve() denies every target beyond loopback when the client has closed its connection", async () => {
  const address = ""; // as a closed socket reports it
  const denied = await deniedToClientOf({}, ["01 08 08 04 03"], address);
  assertEquals(denied, ["the server's own address 8.8.4.3"]);
});

test("serve() denies a request without asking the policy when the client has closed its connection", async () => {
  const asked: string[] = [];
  const transport = {
    ...await detectTransport(),
    connect: () => Promise.reject(new NetError("refused")),
  };
  const policies = [rules(["deny from 127.0.0.1", "allow *"]), () => {
    asked.push("the policy");
    return true;
  }];
  for (const policy of policies) {
    const server = await startServer({ transport, policy });
    const { near, far, close } = await connectedPair(await detectTransport());
    const value = { hostname: "", port: 0 }; // as a closed socket reports it
    server.server.handle(Object.defineProperty(far, "remoteAddr", { value }), {
      exposed: false,
    });
    assertEquals(await replyTo(near, "05 01 00 01 08 08 04 03 00 50"), 2);
    near.close();
    const { error } = await server.ended();
    assertEquals(error?.message, "the client has closed its connection");
    await close();
    await server.close();
  }
  assertEquals(asked, []);
});

test("OwnAddresses.has() lists the addresses again when the list is 10 seconds old", () => {
  let now = 0;
  let found = ["192.0.2.1", "::ffff:192.0.2.2"];
  const own = new OwnAddresses({ ownAddresses: () => found }, {
    ...systemClock,
    now: () => now,
  });
  const known = () => [1, 2, 3].map((it) => own.has(`192.0.2.${it}`));
  assertEquals(known(), [true, true, false]);
  found = ["192.0.2.3"];
  now = 9_999;
  assertEquals(known(), [true, true, false]);
  now = 10_000;
  assertEquals(known(), [false, false, true]);
  assertEquals(new OwnAddresses({}).has("192.0.2.1"), false);
});

test("serve() reports once that it cannot list its own addresses when sessions are exposed", async () => {
  const native = await detectTransport();
  const outside = { hostname: "203.0.113.9", port: 4711 };
  for (const [found, count] of [[[], 1], [["127.0.0.1"], 0]] as const) {
    const transport = { ...native, ownAddresses: () => found };
    for (
      const options of [EXPOSED, { ...EXPOSED, listen: false }, {
        ...EXPOSED,
        hostname: "127.0.0.1",
      }]
    ) {
      const metrics = new Metrics();
      const server = await startServer({
        ...options,
        transport,
        onEvent: metrics.onEvent,
      });
      const reports = () =>
        server.events.filter((it) => it.type === "own-addresses-unknown");
      const isAtStart = options === EXPOSED;
      assertEquals(reports().length, isAtStart ? count : 0);
      for (let i = 0; i < 2; i++) {
        const { near, far, close } = await connectedPair(native);
        server.server.handle(far, { client: outside });
        near.close();
        await until(() => server.server.sessions.length === 0);
        await close();
      }
      assertEquals(reports().length, count);
      assertEquals(metrics.read().socks5_own_addresses_unknown, count);
      await server.close();
    }
  }
  const { events, close } = await startServer({
    transport: { ...native, ownAddresses: () => [] },
  });
  await close();
  assertEquals(events.map(({ type }) => type), ["listening", "shutdown"]);
});

/**
 * The addresses that are dialled for a name with these addresses, with the
 * local address if there is one.
 */
async function dialled(
  list: string[],
  found: string[],
): Promise<(string | undefined)[][]> {
  const dialled: (string | undefined)[][] = [];
  const transport: Transport = {
    ...await detectTransport(),
    lookup: () => Promise.resolve(found),
    connect({ hostname, localAddress }) {
      dialled.push(localAddress ? [hostname, localAddress] : [hostname]);
      return Promise.reject(new NetError("refused"));
    },
  };
  const policy = rules(list);
  await withServer({ transport, policy }, async (server) => {
    const conn = await server.client();
    assert(await replyTo(conn, '05 01 00 03 06 "target" 00 50') !== 0);
    conn.close();
    await server.ended();
  });
  return dialled;
}

test("serve() connects from the address, and tries the IP version first, that the rule names", async () => {
  const both = ["192.0.2.1", "2001:db8::1"];
  const four = ["192.0.2.1", "198.51.100.1"];
  const rows: [list: string[], found: string[], ...unknown[][]][] = [
    [["allow target"], both, ["192.0.2.1"], ["2001:db8::1"]],
    [["allow * prefer ipv6"], both, ["2001:db8::1"], ["192.0.2.1"]],
    [["allow target prefer ipv4"], [...both].reverse(), ["192.0.2.1"], [
      "2001:db8::1",
    ]],
    [["allow target via 10.0.0.1"], both, ["192.0.2.1", "10.0.0.1"]],
    [["allow target via ::2"], both, ["2001:db8::1", "::2"]],
    [["allow target via ::2"], four],
    // Each address by the rule that allows it.
    [
      ["allow 192.0.2.0/24 via 10.0.0.1", "allow *"],
      [...four, "2001:db8::1"],
      ["192.0.2.1", "10.0.0.1"],
      ["2001:db8::1"],
      ["198.51.100.1"],
    ],
    [
      ["allow [2001:db8::/32] via ::2", "allow 192.0.2.1 via 10.0.0.1"],
      both,
      ["192.0.2.1", "10.0.0.1"],
      ["2001:db8::1", "::2"],
    ],
  ];
  for (const [list, found, ...expected] of rows) {
    assertEquals(await dialled(list, found), expected as string[][], list[0]);
  }
});

test("serve() shows the target the local address of the rule", async () => {
  const policy = rules(["allow 127.0.0.1 via 127.0.0.3"]);
  const target = await startTarget(echo);
  const server = await startServer({ policy });
  const request = `05 01 00 01 7F 00 00 01 ${hexPort(target.addr.port)}`;
  const reply = await replyTo(await server.client(), request);
  const { remoteAddr } = await target.accepted();
  assertEquals([reply, remoteAddr.hostname], [0, "127.0.0.3"]);
  await server.close();
  await target.close();
});

test("serve() reports a denial with its rule", async () => {
  const policy = rules(["deny connect 127.0.0.0/8", "allow *"]);
  await withServer({ policy }, async (server, port) => {
    const request = `05 01 00 01 7F 00 00 01 ${hexPort(port)}`;
    assertEquals(await replyTo(await server.client(), request), 2);
    const denied = server.events.find((it) => it.type === "denied");
    assertEquals([denied?.hostname, denied?.port, denied?.address], [
      "127.0.0.1",
      port,
      "127.0.0.1",
    ]);
    assertEquals(denied?.rule, "deny connect 127.0.0.0/8");
    const { error } = await server.ended();
    assertEquals(error?.message, "denied by: deny connect 127.0.0.0/8");
  });
});

test("server.update() replaces options without ending a session", async () => {
  await withServer({}, async (server, port) => {
    const request = `05 01 00 01 7F 00 00 01 ${hexPort(port)}`;
    const early = await server.client();
    assertEquals(await replyTo(early, request), 0);
    await server.server.update({
      auth: [userPass({ alice: "secret" })],
      policy: rules(["deny *"]),
      limits: { sessions: 2 },
    });

    await readExactly(early, 8); // the rest of the reply
    await early.write(octets('"still here"'));
    assertEquals(await readExactly(early, 10), octets('"still here"'));

    const late = await server.client();
    await late.write(octets("05 01 00"));
    assertEquals(await readExactly(late, 2), octets("05 FF"));
    const user = await server.client(); // the third: above the limit
    assertEquals(await user.read().catch(() => null), null);
  });
});

test("server.update() keeps the changes of a concurrent update", async () => {
  const transport = {
    ...await detectTransport(),
    descriptorLimit: () => settled().then(() => undefined),
  };
  await withServer({ transport }, async ({ server, client, events }, port) => {
    const bad = server.update({ limits: { sessions: -1 } });
    const updates = [
      server.update({ policy: rules(["deny *"]) }),
      server.update({ timeouts: { idle: 0 } }),
    ];
    await assertRejects(() => bad, TypeError);
    await Promise.all(updates);
    const request = `05 01 00 01 7F 00 00 01 ${hexPort(port)}`;
    assertEquals(await replyTo(await client(), request), 2);
    assert(events.some(({ type }) => type === "denied"));
  });
});

test("server.update() changes nothing when an option is invalid", async () => {
  await withServer(
    { policy: rules(["deny *"]), hostname: "0.0.0.0", openProxy: true },
    async (server, port) => {
      const bad: ServerUpdate[] = [
        { policy: undefined, limits: { sessions: -1 } },
        { policy: undefined, openProxy: false },
      ];
      for (const options of bad) {
        await assertRejects(() => server.server.update(options), TypeError);
      }
      const conn = await (await detectTransport()).connect({
        hostname: "127.0.0.1",
        port: server.server.addr.port,
      });
      const request = `05 01 00 01 7F 00 00 01 ${hexPort(port)}`;
      assertEquals(await replyTo(conn, request), 2);
      const denied = server.events.find((it) => it.type === "denied");
      assertEquals(denied?.rule, "deny *");
      conn.close();
    },
  );
});
