/** UDP ASSOCIATE and BIND of the server, used by Dante's client. */

import { assert, assertEquals } from "@std/assert";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "../support/harness.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { assertSameOctets, pattern } from "../transport/contract.ts";
import { type Ftpd, withFtpd } from "./ftpd.ts";
import { missing, missingForRoot, withFolder } from "./programs.ts";
import { socksify } from "./socksify.ts";
import {
  ANSWER,
  answerQuery,
  type DatagramTarget,
  startDatagramTarget,
} from "./targets.ts";

/** Runs `use` with the port of a server and a target for datagrams. */
async function withTarget(
  starting: Promise<DatagramTarget>,
  use: (
    port: number,
    target: DatagramTarget,
    server: TestServer,
  ) => Promise<void>,
): Promise<void> {
  const target = await starting;
  const server = await startServer();
  try {
    await use(server.server.addr.port, target, server);
  } finally {
    await server.close();
    await target.close();
  }
}

test(
  "serve() relays the datagrams of socksified socat",
  () =>
    withTarget(startDatagramTarget(), async (port, target, server) => {
      const octets = pattern(20_000);
      // EOF is an empty datagram, in both directions.
      const addr = `UDP4:127.0.0.1:${target.port},shut-null,null-eof`;
      const { code, octets: got, stderr } = await socksify(
        port,
        "socat",
        ["-b", "1000", "-t", "20", "-", addr],
        { stdin: octets },
      );
      assertEquals([code, stderr], [0, ""]);
      assertSameOctets(got, octets);
      const { session, reason } = await server.ended();
      assertEquals([session.command, reason], ["udp-associate", "finished"]);
      assertEquals([session.sent, session.received], [20_000, 20_000]);
      const datagrams = { sent: 21, received: 21, dropped: 0 };
      assertEquals(session.datagrams, datagrams);
      assertEquals(target.clients.size, 1);
    }),
  { skip: missing("socksify", "socat") },
);

/** A row: a DNS client, its arguments with PORT as the port of the DNS server. */
const resolvers: readonly (readonly [string, ...string[]])[] = [
  ["drill", "-Q", "-p", "PORT", "name.test", "@127.0.0.1", "A"],
  ["kdig", "+short", "@127.0.0.1", "-p", "PORT", "name.test", "A"],
];

for (const [command, ...args] of resolvers) {
  test(
    `serve() relays a DNS query of socksified ${command} and its answer`,
    () =>
      withTarget(
        startDatagramTarget(answerQuery),
        async (port, target, server) => {
          const { code, stdout, stderr } = await socksify(
            port,
            command,
            args.map((it) => it.replace("PORT", `${target.port}`)),
          );
          assertEquals([code, stdout, stderr], [0, `${ANSWER}\n`, ""]);
          const { session, reason } = await server.ended();
          assertEquals([session.command, reason], [
            "udp-associate",
            "finished",
          ]);
          assert(session.sent > 12, `${session.sent}`);
        },
      ),
    { skip: missing("socksify", command) },
  );
}

/** The commands for an FTP client: a list, a download and an upload, each over its own BIND. */
function script(port: number): string {
  return `
open 127.0.0.1 ${port}
user anonymous x
binary
ls . list
get down got
put up in/up
quit
`;
}

const SIZE = 100_000;

async function transfer(port: number, ftpd: Ftpd): Promise<void> {
  const [down, up] = [pattern(SIZE), pattern(SIZE).reverse()];
  await withFolder(async (folder) => {
    await writeFile(join(ftpd.files, "down"), down);
    await writeFile(join(folder, "up"), up);
    const { code, stderr } = await socksify(
      port,
      "tnftp",
      ["-A", "-i", "-n"],
      { stdin: script(ftpd.port), cwd: folder },
    );
    assertEquals([code, stderr], [0, ""]);
    const list = await readFile(join(folder, "list"), "utf8");
    assertEquals(list.match(/\w+$/gm), ["down", "in"]);
    assertSameOctets(await readFile(join(folder, "got")), down);
    assertSameOctets(await readFile(join(ftpd.inbox, "up")), up);
  });
}

test(
  "serve() runs BIND for downloads and uploads of socksified tnftp in active mode",
  () =>
    withFtpd(async (ftpd) => {
      const server = await startServer();
      try {
        await transfer(server.server.addr.port, ftpd);
        const ends = [];
        for (let i = 0; i < 4; i++) ends.push(await server.ended());
        const binds = ends.filter((it) => it.session.command === "bind");
        assertEquals(ends.map((it) => it.reason), Array(4).fill("finished"));
        assertEquals(binds.length, 3);
        const [, download, upload] = binds.map((it) => it.session);
        assertEquals([download.sent, download.received], [0, SIZE]);
        assertEquals([upload.sent, upload.received], [SIZE, 0]);
      } finally {
        await server.close();
      }
    }),
  { skip: missingForRoot("socksify", "tnftp", "vsftpd") },
);
