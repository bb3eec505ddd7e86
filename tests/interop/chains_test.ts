/** Chains through three different servers, of our client and as the upstream of our server. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  createDialer,
  type DialerOptions,
  type HopDialer,
  type ProxyConfig,
  SocksError,
} from "../../src/client/mod.ts";
import { createPool } from "../../src/client/pool/mod.ts";
import { userPass } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { certificates } from "../support/certificates.ts";
import { test } from "../support/harness.ts";
import { closedPort, startServer } from "../support/server.ts";
import {
  assertSameOctets,
  pattern,
  readAll,
  readExactly,
} from "../transport/contract.ts";
import { missing, run, withFolder, withListening } from "./programs.ts";
import { LOGIN, proxyKinds } from "./proxies.ts";
import {
  answerAtEnd,
  answerTo,
  block,
  echo,
  startDatagramTarget,
  startHttp,
  startTarget,
} from "./targets.ts";

const { ca, server: certificate } = certificates();

/** A kind of hop, and how to start one. */
interface Hop {
  readonly name: string;
  readonly skip: string | undefined;
  /** Whether it ends both directions at the first FIN. */
  readonly oneWay?: boolean;
  /** Runs `use` with a hop, and the ports of the targets of its sessions if it is ours. */
  run(use: (hop: ProxyConfig, ports?: Ports) => Promise<void>): Promise<void>;
}

/** Resolves with the port of the target of the next session that has ended. */
type Ports = () => Promise<number | undefined>;

/** A foreign server. */
function foreign(name: string, protocol?: ProxyConfig["protocol"]): Hop {
  const kind = proxyKinds.find((it) => it.name === name)!;
  const { skip, oneWay, protocols: [first], login } = kind;
  return {
    name: `${name} by ${protocol ?? first}`,
    skip,
    oneWay,
    run: (use) =>
      kind.run((port) =>
        use({
          protocol: protocol ?? first,
          hostname: "127.0.0.1",
          port,
          ...login,
        })
      ),
  };
}

/** Our server with a login, on the runtime of the tests. */
function ours(protocol: ProxyConfig["protocol"]): Hop {
  const isTls = /tls|https/.test(protocol);
  return {
    name: `ours by ${protocol}`,
    skip: undefined,
    async run(use) {
      const { username, password } = LOGIN;
      const auth = [userPass({ [username]: password })];
      const tls = isTls ? { tls: certificate } : {};
      const server = await startServer({ auth, http: true, ...tls });
      const { port } = server.server.addr;
      const hop = { protocol, hostname: "localhost", port, ...LOGIN };
      try {
        await use(hop, async () => (await server.ended()).session.target?.port);
      } finally {
        await server.close();
      }
    },
  };
}

/** A foreign server behind stunnel. */
function stunnel(inner: Hop): Hop {
  return {
    name: `stunnel before ${inner.name}`,
    skip: missing("stunnel4") ?? inner.skip,
    oneWay: inner.oneWay,
    run: (use) =>
      withFolder((folder) =>
        inner.run(async (hop) => {
          const pem = join(folder, "server.pem");
          const config = join(folder, "stunnel.conf");
          const { cert, key } = certificate;
          await writeFile(pem, cert + key, { mode: 0o600 });
          const argsFor = async (port: number) => {
            const lines = [
              ...["foreground = yes", "pid =", "[socks]", `cert = ${pem}`],
              `accept = 127.0.0.1:${port}`,
              `connect = 127.0.0.1:${hop.port}`,
            ];
            await writeFile(config, `${lines.join("\n")}\n`);
            return [config];
          };
          await withListening("stunnel4", argsFor, (port) =>
            use({
              ...hop,
              protocol: `${hop.protocol as "socks5h"}+tls`,
              hostname: "localhost",
              port,
            }));
        })
      ),
  };
}

const CHAINS: readonly (readonly Hop[])[] = [
  [ours("socks5h"), foreign("danted", "socks4"), foreign("ssh -D", "socks5")],
  [
    foreign("ssh -D", "socks4a"),
    foreign("microsocks with a login"),
    ours("socks5"),
  ],
  [
    stunnel(foreign("microsocks with a login")),
    ours("http"),
    foreign("danted with a login"),
  ],
  [
    foreign("tinyproxy with a login"),
    ours("https"),
    foreign("ssh -D", "socks5h"),
  ],
  [
    foreign("danted with a login"),
    ours("socks5h+tls"),
    foreign("tinyproxy"),
  ],
];

/** Starts the hops, and runs `use` with them. */
async function withHops(
  hops: readonly Hop[],
  use: (hops: readonly ProxyConfig[], ports: Ports) => Promise<void>,
): Promise<void> {
  const started: ProxyConfig[] = [];
  let ports: Ports | undefined;
  const startFrom = (index: number): Promise<void> =>
    index === hops.length ? use(started, ports!) : hops[index].run(
      async (hop, own) => {
        started.push(hop);
        ports ??= own;
        await startFrom(index + 1);
      },
    );
  await startFrom(0);
}

function optionsOf(hops: readonly ProxyConfig[]): DialerOptions {
  const isTls = hops.some(({ protocol }) => /tls|https/.test(protocol));
  return { timeout: 20_000, ...isTls && { tls: { ca: ca.cert } } };
}

/** The port that our hop was asked for: that of the next hop, or of the target. */
function expectedPort(
  hops: readonly ProxyConfig[],
  kinds: readonly Hop[],
  target: number,
): number {
  const index = kinds.findIndex(({ name }) => name.startsWith("ours"));
  return hops[index + 1]?.port ?? target;
}

/** Sends octets to a target that echoes them, and back. */
async function exchange(dialer: HopDialer, port: number): Promise<void> {
  const conn = await dialer.connect(`localhost:${port}`);
  try {
    const sent = pattern(100_000);
    const writing = conn.write(sent);
    assertSameOctets(await readExactly(conn, sent.length), sent);
    await writing;
  } finally {
    conn.close();
  }
}

for (const kinds of CHAINS) {
  const name = kinds.map((it) => it.name).join(" > ");
  const skip = kinds.map((it) => it.skip).find((it) => it !== undefined);

  test(`connect() of a dialer goes through ${name}`, async () => {
    const target = await startTarget(echo);
    try {
      await withHops(kinds, async (hops, ports) => {
        const dialer = createDialer(hops, optionsOf(hops));
        await exchange(dialer, target.port);
        const expected = expectedPort(hops, kinds, target.port);
        assertEquals(await ports(), expected);
        // The target refuses, or the last hop closes the connection.
        const refused = `127.0.0.1:${await closedPort()}`;
        const error = await assertRejects(
          () => dialer.connect(refused),
          SocksError,
        );
        assertEquals(error.hop?.number, 3, error.message);
        assert(["rejected", "proxy-closed"].includes(error.code));
      });
    } finally {
      await target.close();
    }
  }, { skip });

  if (!kinds.some(({ oneWay }) => oneWay)) {
    test(
      `connect() of a dialer returns the whole answer after a FIN through ${name}`,
      async () => {
        const target = await startTarget(answerAtEnd);
        try {
          await withHops(kinds, async (hops) => {
            const dialer = createDialer(hops, optionsOf(hops));
            const conn = await dialer.connect(`127.0.0.1:${target.port}`);
            await conn.write(block(0));
            await conn.closeWrite();
            assertSameOctets(await readAll(conn), answerTo(block(0)));
            conn.close();
          });
        } finally {
          await target.close();
        }
      },
      { skip },
    );
  }

  test(`serve() serves curl through ${name}`, async () => {
    const http = await startHttp();
    try {
      await withHops(kinds, async (hops, ports) => {
        const dial = createDialer(hops, optionsOf(hops));
        const server = await startServer({ dial });
        const { code, stdout, stderr } = await run("curl", [
          ...["-q", "--silent", "--show-error", "--noproxy", ""],
          ...["--socks5-hostname", `127.0.0.1:${server.server.addr.port}`],
          `http://localhost:${http.port}/`,
        ]);
        await server.close();
        assertEquals([code, stdout], [0, "hello"], stderr);
        const expected = expectedPort(hops, kinds, http.port);
        assertEquals(await ports(), expected);
      });
    } finally {
      await http.close();
    }
  }, { skip: skip ?? missing("curl") });
}

test("a dialer names the hop before a middle one that is down", async () => {
  const first = foreign("danted");
  const last = foreign("microsocks");
  await withHops([first, last], async ([one, other]) => {
    const down: ProxyConfig = {
      protocol: "socks5h",
      hostname: "127.0.0.1",
      port: await closedPort(),
    };
    const dialer = createDialer([one, down, other], { timeout: 20_000 });
    const error = await assertRejects(
      () => dialer.connect("localhost:9"),
      SocksError,
    );
    assertEquals([error.code, error.reply, error.hop?.number], [
      "rejected",
      5,
      1,
    ]);
    assert(
      error.message.includes(`could not reach hop 2 (127.0.0.1:${down.port})`),
    );
  });
}, { skip: foreign("danted").skip ?? foreign("microsocks").skip });

test("a pool goes through the alternative that works", async () => {
  const target = await startTarget(echo);
  const kinds = [foreign("microsocks with a login"), foreign("danted")];
  try {
    await withHops([...kinds, ours("socks5h")], async (hops, ports) => {
      const [locked, open, own] = hops;
      const wrong = { ...locked, password: "wrong" };
      const pool = createPool([[wrong, own], [open, own]], { timeout: 20_000 });
      await exchange(pool, target.port);
      assertEquals(await ports(), target.port);
      const states = pool.status().map(({ failures, error }) => [
        failures,
        error?.code,
      ]);
      assertEquals(states, [[1, "login-failed"], [0, undefined]]);
    });
  } finally {
    await target.close();
  }
}, { skip: foreign("danted").skip ?? foreign("microsocks").skip });

for (
  const hop of [
    foreign("danted"),
    foreign("danted with a login"),
    ours("socks5h"),
  ]
) {
  test(`serve() has BIND and UDP through ${hop.name}`, async () => {
    const target = await startDatagramTarget();
    try {
      await hop.run(async (upstream) => {
        const dial = createDialer(upstream, { timeout: 20_000 });
        const server = await startServer({ dial });
        const { port } = server.server.addr;
        const proxy = createDialer(`socks5h://127.0.0.1:${port}`);

        const listener = await proxy.bind("127.0.0.1");
        const peer = await (await detectTransport()).connect(listener.addr);
        const conn = await listener.accept({ timeout: 20_000 });
        assertEquals(conn.peerAddr, peer.localAddr);
        await peer.write(pattern(1_000));
        assertSameOctets(await readExactly(conn, 1_000), pattern(1_000));
        conn.close();
        peer.close();

        const udp = await proxy.udpAssociate();
        for (const hostname of ["127.0.0.1", "localhost"]) {
          await udp.send(pattern(1_200), { hostname, port: target.port });
          const { value } = await udp.next();
          assertSameOctets(value![0], pattern(1_200));
        }
        udp.close();
        await server.close();
      });
    } finally {
      await target.close();
    }
  }, { skip: hop.skip });
}
