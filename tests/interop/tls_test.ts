/** Foreign programs that speak TLS, in front of the server and of other proxies. */

import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Buffer } from "node:buffer";
import type * as net from "node:net";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { connect, SocksError } from "../../src/client/mod.ts";
import { certificates, issue } from "../support/certificates.ts";
import { test } from "../support/harness.ts";
import { assertSameOctets, readAll } from "../transport/contract.ts";
import { missing, run, withFolder, withListening } from "./programs.ts";
import { connectRequest } from "./raw_client.ts";
import { withServer } from "./server.ts";
import { answerAtEnd, answerTo, block, returnAfter } from "./targets.ts";

const { ca, server: own, alice } = certificates();

/** The names of the files with certificates. */
interface Files {
  readonly folder: string;
  readonly ca: string;
  /** The certificate and the key in one file, as stunnel and socat have them. */
  readonly server: string;
  readonly alice: string;
}

/** Runs `use` with files of the certificates. */
function withFiles(use: (files: Files) => Promise<void>): Promise<void> {
  return withFolder(async (folder) => {
    const texts = {
      ca: ca.cert,
      server: own.cert + own.key,
      alice: alice.cert + alice.key,
    };
    const paths = Object.entries(texts).map(async ([name, text]) => {
      const path = join(folder, `${name}.pem`);
      await writeFile(path, text, { mode: 0o600 });
      return [name, path];
    });
    const files = Object.fromEntries(await Promise.all(paths));
    await use({ folder, ...files });
  });
}

const certified = { tls: { ...own, clientCa: ca.cert } };

for (const version of ["-tls1_2", "-tls1_3"]) {
  for (const alpn of [[], ["-alpn", "socks5,h2"]]) {
    const args = ["s_client", version, ...alpn];
    test(
      `serve() serves a client through openssl ${args.join(" ")}`,
      () =>
        withFiles((files) =>
          withServer(certified, answerOnce, async (port, target, server) => {
            const { octets, stderr } = await run("openssl", [
              ...args,
              ...["-connect", `localhost:${port}`, "-quiet", "-verify", "1"],
              ...["-verify_return_error", "-verify_hostname", "localhost"],
              ...["-CAfile", files.ca, "-cert", files.alice],
            ], { stdin: connectRequest(target.port) });
            const reply = Buffer.from(octets).toString("hex");
            const answer = Buffer.from("answer").toString("hex");
            const replies = new RegExp(`^050005000001.{12}${answer}$`);
            assertMatch(reply, replies, stderr);
            const { session, reason } = await server.ended();
            assertEquals([reason, session.user], ["finished", "alice"]);
            const expected = version.replace("-tls1_", "TLSv1.");
            assertEquals(session.tls?.version, expected);
          })
        ),
      { skip: missing("openssl") },
    );
  }
}

const stranger = issue({
  subject: "/CN=Another authority",
  extensions: ["basicConstraints=critical,CA:TRUE"],
});

for (const version of ["-tls1_2", "-tls1_3"]) {
  test(
    `serve() refuses a resumed session of another authority with openssl ${version}`,
    () =>
      withFiles((files) =>
        withServer(certified, answerOnce, async (port, target, server) => {
          const session = join(files.folder, "session.pem");
          const reasonWith = async (...args: string[]) => {
            await run("openssl", [
              ...["s_client", version, "-connect", `localhost:${port}`],
              ...["-quiet", ...args],
            ], { stdin: connectRequest(target.port) });
            return (await server.ended()).reason;
          };
          const asAlice = ["-cert", files.alice];
          const saving = [...asAlice, "-sess_out", session];
          assertEquals(await reasonWith(...saving), "finished");
          // Some runtimes resume no session with client certificates, and none is saved.
          const resuming = existsSync(session) ? ["-sess_in", session] : [];
          const again = [...asAlice, ...resuming];
          assertEquals(await reasonWith(...again), "finished");
          const tls = { ...own, clientCa: stranger.cert };
          await server.server.update({ tls });
          assertEquals(await reasonWith(...again), "tls-failed");
          assertEquals(await reasonWith(...resuming), "tls-failed");
        })
      ),
    { skip: missing("openssl") },
  );
}

/** Answers, and ends the connection. */
function answerOnce(socket: net.Socket): void {
  socket.end("answer");
}

test(
  "serve() refuses old versions of TLS",
  () =>
    withFiles((files) =>
      withServer({ tls: own }, answerOnce, async (port) => {
        const { code, stderr } = await run("openssl", [
          ...["s_client", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"],
          ...["-connect", `localhost:${port}`, "-CAfile", files.ca],
        ]);
        assertEquals(code, 1, stderr);
      })
    ),
  { skip: missing("openssl") },
);

/** A program that speaks TLS for clients or servers that do not. */
interface Bridge {
  readonly name: string;
  readonly skip: string | undefined;
  /** The arguments that lead plain clients to a server with TLS. */
  toTls(port: number, to: number, files: Files): Promise<string[]>;
  /** The arguments that lead clients with TLS to a plain server. */
  fromTls(port: number, to: number, files: Files): Promise<string[]>;
}

const bridges: readonly Bridge[] = [
  {
    name: "stunnel4",
    skip: missing("stunnel4"),
    toTls: (port, to, { folder, ca, alice }) =>
      writeStunnel(folder, [
        "client = yes",
        ...[`accept = 127.0.0.1:${port}`, `connect = localhost:${to}`],
        ...[`CAfile = ${ca}`, "verifyChain = yes", "checkHost = localhost"],
        ...[`cert = ${alice}`, `key = ${alice}`],
      ]),
    fromTls: (port, to, { folder, server }) =>
      writeStunnel(folder, [
        ...[`accept = 127.0.0.1:${port}`, `connect = 127.0.0.1:${to}`],
        `cert = ${server}`,
      ]),
  },
  {
    name: "socat",
    skip: missing("socat"),
    toTls: (port, to, { ca, alice }) =>
      Promise.resolve([
        ...["-t", "20", `TCP4-LISTEN:${port},bind=127.0.0.1,reuseaddr,fork`],
        `OPENSSL:localhost:${to},cafile=${ca},cert=${alice},commonname=localhost`,
      ]),
    fromTls: (port, to, { server }) =>
      Promise.resolve([
        ...["-t", "20"],
        `OPENSSL-LISTEN:${port},bind=127.0.0.1,reuseaddr,fork,cert=${server},verify=0`,
        `TCP4:127.0.0.1:${to}`,
      ]),
  },
];

async function writeStunnel(
  folder: string,
  service: readonly string[],
): Promise<string[]> {
  const path = join(folder, "stunnel.conf");
  const lines = ["foreground = yes", "pid =", "[socks]", ...service, ""];
  await writeFile(path, lines.join("\n"));
  return [path];
}

for (const { name, skip, toTls, fromTls } of bridges) {
  test(
    `serve() serves curl through ${name}, which has a certificate`,
    () =>
      withFiles((files) =>
        withServer(certified, answerHttp, async (port, target, server) => {
          await withListening(
            name,
            (own) => toTls(own, port, files),
            async (own) => {
              const { code, stdout, stderr } = await run("curl", [
                ...["-q", "--silent", "--show-error", "--noproxy", ""],
                ...["--socks5-hostname", `127.0.0.1:${own}`],
                `http://localhost:${target.port}/`,
              ]);
              assertEquals([code, stdout], [0, "hello"], stderr);
            },
          );
          let end = await server.ended();
          // The first connection only finds out whether the program listens.
          if (end.session.command === undefined) end = await server.ended();
          assertEquals(end.session.user, "alice");
        })
      ),
    { skip: skip ?? missing("curl") },
  );

  test(
    `connect() goes through ${name}, which adds TLS to a proxy`,
    () =>
      withFiles((files) =>
        withServer({}, answerAtEnd, async (port, target) => {
          await withListening(
            name,
            (own) => fromTls(own, port, files),
            async (own) => {
              const url = `socks5h+tls://localhost:${own}`;
              const to = `localhost:${target.port}`;
              const tls = { ca: ca.cert };
              const conn = await connect(url, to, { tls });
              const sent = Buffer.concat([block(0), block(1)]);
              const reading = readAll(conn);
              await conn.write(sent);
              await conn.closeWrite();
              assertSameOctets(await reading, answerTo(sent));
              conn.close();
              const untrusted = await connect(url, to).catch((error) => error);
              assert(untrusted instanceof SocksError, String(untrusted));
              assertEquals(untrusted.code, "tls-untrusted");
            },
          );
        })
      ),
    { skip },
  );
}

/** Answers an HTTP request. */
function answerHttp(socket: net.Socket): void {
  socket.once("data", () => {
    socket.end("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
  });
}

/** V2Ray's configuration, with one way in and one way out. */
async function writeV2ray(
  folder: string,
  inbound: object,
  outbound: object,
): Promise<string[]> {
  const path = join(folder, "v2ray.json");
  const config = {
    log: { loglevel: "warning" },
    inbounds: [{ listen: "127.0.0.1", protocol: "socks", ...inbound }],
    outbounds: [outbound],
  };
  await writeFile(path, JSON.stringify(config));
  return ["-config", path];
}

test(
  "serve() serves curl through V2Ray, whose way out is SOCKS over TLS",
  () =>
    withFiles((files) =>
      withServer({ tls: own }, answerHttp, async (port, target, server) => {
        const certificate = { usage: "verify", certificateFile: files.ca };
        const outbound = {
          protocol: "socks",
          settings: { servers: [{ address: "127.0.0.1", port }] },
          streamSettings: {
            security: "tls",
            tlsSettings: {
              serverName: "localhost",
              certificates: [certificate],
            },
          },
        };
        await withListening(
          "v2ray",
          (own) => writeV2ray(files.folder, { port: own }, outbound),
          async (own) => {
            const { code, stdout, stderr } = await run("curl", [
              ...["-q", "--silent", "--show-error", "--noproxy", ""],
              ...["--socks5-hostname", `127.0.0.1:${own}`],
              `http://localhost:${target.port}/`,
            ]);
            assertEquals([code, stdout], [0, "hello"], stderr);
          },
        );
        const { session } = await server.ended();
        assertMatch(session.tls?.version ?? "", /^TLSv1\.[23]$/);
      })
    ),
  { skip: missing("v2ray", "curl") },
);

test(
  "connect() goes through V2Ray, whose way in is SOCKS over TLS",
  () =>
    withFiles((files) =>
      withServer({}, returnAfter(2), async (_, target) => {
        const certificate = {
          certificateFile: files.server,
          keyFile: files.server,
        };
        const inbound = {
          settings: { auth: "noauth", udp: false },
          streamSettings: {
            security: "tls",
            tlsSettings: { certificates: [certificate] },
          },
        };
        await withListening(
          "v2ray",
          (port) =>
            writeV2ray(files.folder, { ...inbound, port }, {
              protocol: "freedom",
            }),
          async (port) => {
            const url = `socks5h+tls://localhost:${port}`;
            const tls = { ca: ca.cert };
            const conn = await connect(url, `127.0.0.1:${target.port}`, {
              tls,
            });
            const sent = Buffer.concat([block(0), block(1)]);
            const reading = readAll(conn);
            await conn.write(sent); // V2Ray does not forward a FIN alone
            assertSameOctets(await reading, sent);
            conn.close();
          },
        );
      })
    ),
  { skip: missing("v2ray") },
);
