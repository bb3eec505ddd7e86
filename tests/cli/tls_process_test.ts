import { once } from "node:events";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tls from "node:tls";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { connect, type TlsOptions } from "../../src/client/mod.ts";
import { type Certificate, certificates } from "../support/certificates.ts";
import { test } from "../support/harness.ts";
import { echo, startTarget } from "../support/server.ts";
import { type Program, withProgram } from "../support/spawn.ts";
import { pattern, readExactly } from "../transport/contract.ts";

const { ca, server, other, alice } = certificates();
const trusting: TlsOptions = { ca: ca.cert, ...alice };

interface Running {
  readonly program: Program;
  readonly folder: string;
  /** Exchanges a few bytes with a target through the program; `null` means without TLS. */
  use(tls?: TlsOptions | null, port?: number): Promise<void>;
}

/** Starts the program with TLS and client certificates, and a target. */
async function withTls(
  flags: readonly string[],
  use: (running: Running) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "socks5-tls-"));
  const path = (name: string) => join(folder, name);
  replace(folder, server);
  writeFileSync(path("ca.pem"), ca.cert);
  const target = await startTarget(echo);
  const args = [
    ...["--port", "0", "--tls-cert", path("cert.pem")],
    ...["--tls-key", path("key.pem"), "--tls-client-ca", path("ca.pem")],
    ...flags,
  ];
  try {
    await withProgram(args, async (program) => {
      const own = await program.port();
      await use({
        program,
        folder,
        async use(tls = trusting, port = own) {
          const scheme = tls ? "socks5+tls" : "socks5";
          const url = `${scheme}://localhost:${port}`;
          const options = { tls: tls ?? undefined };
          const conn = await connect(url, target.addr, options);
          await conn.write(pattern(10));
          assertEquals(await readExactly(conn, 10), pattern(10));
          conn.close();
        },
      });
    }, { mayRead: true, mayShare: flags.includes("--workers") });
  } finally {
    rmSync(folder, { recursive: true });
    await target.close();
  }
}

/** Replaces the certificate and its key, each at once. */
function replace(folder: string, { cert, key }: Certificate): void {
  for (const [name, text] of Object.entries({ cert, key })) {
    const path = join(folder, `${name}.pem`);
    writeFileSync(`${path}.new`, text, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }
}

const renewed: TlsOptions = { ...trusting, serverName: "other.test" };

/** Checks that changed files are adopted, and broken ones are not. */
async function checkReload({ program, folder, use }: Running): Promise<void> {
  await use();
  replace(folder, other);
  await program.line(/"reloaded"/);
  await use(renewed);
  await assertRejects(() => use());
  replace(folder, { cert: server.cert, key: other.key });
  const failed = JSON.parse(await program.line(/"reload-failed"/));
  assert(/key\.pem: is not the key/.test(failed.problems[0]), failed.problems);
  await use(renewed);
}

test("socks5-server reloads certificates that have changed, and keeps them if new ones are broken", () =>
  withTls([], checkReload));

test("socks5-server with workers reloads certificates that have changed, and keeps them if new ones are broken", () =>
  withTls(["--workers", "2"], checkReload));

test("socks5-server reloads certificates by SIGHUP", () =>
  withTls([], async ({ program, folder, use }) => {
    replace(folder, other);
    program.kill("SIGHUP");
    await program.line(/"reloaded"/);
    await use(renewed);
  }));

test("socks5-server serves plain clients on --plain-port, and logs both kinds", () =>
  withTls(["--plain-port", "0"], async ({ program, use }) => {
    const { tls, plainAddr, url } = JSON.parse(
      await program.line(/"listening"/),
    );
    assertEquals(tls.asksClients, true);
    assert(url.startsWith("socks5+tls://"), url);
    await use();
    await use(null, plainAddr.port);
    const lines = await program.lines(/"session-end"/, 2);
    const users = lines.map((it) => JSON.parse(it))
      .map(({ user, tls }) => `${user} ${tls?.clientName}`);
    assertEquals(users.sort(), ["alice alice", "undefined undefined"]);
  }));

test("socks5-server reads the header of --proxy-from before TLS", () =>
  withTls(["--proxy-from", "127.0.0.1"], async ({ program }) => {
    const raw = net.connect(await program.port(), "127.0.0.1");
    raw.write("PROXY TCP4 203.0.113.9 192.0.2.1 40000 1080\r\n");
    const servername = "localhost";
    const socket = tls.connect({
      socket: raw,
      servername,
      ca: ca.cert,
      ...alice,
    });
    await once(socket, "secureConnect");
    socket.write(Uint8Array.of(5, 1, 0));
    const [answer] = await once(socket, "data");
    assertEquals([...answer], [5, 0]);
    socket.destroy();
    raw.destroy();
    const [line] = await program.lines(/"session-end"/, 1);
    const { client, user } = JSON.parse(line);
    assert(JSON.stringify(client).includes("203.0.113.9"), line);
    assertEquals(user, "alice");
  }));
