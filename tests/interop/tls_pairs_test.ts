/** TLS between our client on this runtime and our server on each one. */

import type { TlsSession } from "./tls_program.ts";
import "./tls_program.ts";
import { assert, assertEquals } from "@std/assert";
import { bind, connect, SocksError } from "../../src/client/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { certificates, issue } from "../support/certificates.ts";
import { runtime, test } from "../support/harness.ts";
import { withTlsVersion } from "../support/tls_version.ts";
import { assertSameOctets, pattern, readAll } from "../transport/contract.ts";
import { type Program, start, until } from "./programs.ts";
import { missingRuntime, versions, withProgramOn } from "./runtimes.ts";
import { echo, MIB, startTarget } from "./targets.ts";

const { ca, server: own, alice } = certificates();
const tls = { ca: ca.cert, ...alice };
const stranger = issue({ subject: "/CN=stranger" });

/** Deno's clients cannot be limited to TLS 1.2. */
const ways = runtime === "deno"
  ? ["TLSv1.3"] as const
  : ["TLSv1.3", "TLSv1.2"] as const;

/** A server on another runtime. */
interface TlsServer {
  readonly url: string;
  /** The sessions that have ended, at least this many. */
  sessions(count: number): Promise<TlsSession[]>;
}

/** Runs `use` with a command that starts a server, which asks for client certificates. */
function withServer(
  [command, ...args]: readonly string[],
  use: (server: TlsServer) => Promise<void>,
): Promise<void> {
  const options = JSON.stringify({ ...own, clientCa: ca.cert });
  const isReady = ({ stdout }: Program) => stdout.endsWith("\n");
  return start(command, [...args, options], isReady).then(async (program) => {
    try {
      const lines = () => program.stdout.trimEnd().split("\n");
      await use({
        url: `socks5h+tls://localhost:${lines()[0]}`,
        async sessions(count) {
          await until(`${count} sessions`, () => lines().length > count);
          return lines().slice(1).map((it) => JSON.parse(it));
        },
      });
    } finally {
      await program.stop();
    }
  });
}

async function echoes(url: string, target: number): Promise<void> {
  const conn = await connect(url, `localhost:${target}`, { tls });
  const sent = pattern(3 * MIB + 1);
  const writing = conn.write(sent).then(() => conn.closeWrite());
  assertSameOctets(await readAll(conn), sent);
  await writing;
  conn.close();
}

async function binds(url: string): Promise<void> {
  const listener = await bind(url, "127.0.0.1:9", { tls });
  const transport = await detectTransport();
  const { port } = listener.addr;
  const peer = await transport.connect({ hostname: "127.0.0.1", port });
  const conn = await listener.accept();
  await peer.write(pattern(100));
  await peer.closeWrite();
  assertSameOctets(await readAll(conn), pattern(100));
  await conn.write(pattern(200));
  await conn.closeWrite();
  assertSameOctets(await readAll(peer), pattern(200));
  for (const it of [peer, conn]) it.close();
  await listener.close();
}

/** The codes of clients that refuse the server, or that it refuses. */
async function refusals(url: string, target: number): Promise<unknown[]> {
  const to = `localhost:${target}`;
  const codes = [
    { ...alice, fingerprint256: "00".repeat(32) },
    { ...tls, serverName: "other.test" },
    alice,
    { ca: ca.cert },
    { ca: ca.cert, ...stranger },
  ].map(async (tls) => {
    const error = await connect(url, to, { tls }).catch((error) => error);
    assert(error instanceof SocksError, String(error));
    return error.code;
  });
  return await Promise.all(codes);
}

const REFUSALS = [
  ...["tls-pin", "tls-name", "tls-untrusted"],
  ...["tls-refused", "tls-refused"],
];

for (const name of versions) {
  test(
    `connect() and bind() go through our server with TLS on ${name}`,
    () =>
      withProgramOn(
        name,
        "tls",
        (command) =>
          withServer(command, async ({ url, sessions }) => {
            const target = await startTarget(echo);
            try {
              for (const version of ways) {
                await withTlsVersion(version, async () => {
                  await echoes(url, target.port);
                  await binds(url);
                });
              }
              const moved = [[3 * MIB + 1, 3 * MIB + 1], [200, 100]];
              const expected = ways.flatMap((version) =>
                moved.map(([sent, received]) => ({
                  user: "alice",
                  version,
                  reason: "finished",
                  sent,
                  received,
                }))
              );
              assertEquals(await sessions(expected.length), expected);
              assertEquals(await refusals(url, target.port), REFUSALS);
            } finally {
              await target.close();
            }
          }),
      ),
    { skip: missingRuntime(name) },
  );
}
