/** Quotas as curl meets them: cut off during a download, and refused after it and a restart. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { writeFile } from "node:fs/promises";
import type * as net from "node:net";
import { join } from "node:path";
import { hashPassword } from "../../src/server/mod.ts";
import { test } from "../support/harness.ts";
import {
  type Program,
  type ProgramOptions,
  withProgram,
} from "../support/spawn.ts";
import { missing, type Output, run, withFolder } from "./programs.ts";
import { MIB, startTarget } from "./targets.ts";

const skip = missing("curl");

/** Sends a response that takes longer than any quota lasts. */
function sendMuch(socket: net.Socket): void {
  socket.once("data", () => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${1000 * MIB}\r\n\r\n`);
    const chunk = new Uint8Array(65_536);
    const send = () => {
      while (!socket.destroyed && socket.write(chunk));
    };
    socket.on("drain", send);
    send();
  });
}

/** Sends a response of 1 MiB. */
function sendLittle(socket: net.Socket): void {
  socket.once("data", () => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${MIB}\r\n\r\n`);
    socket.end(new Uint8Array(MIB));
  });
}

/** Runs curl as a user, and returns its output and the bytes of the response. */
async function download(
  proxy: string,
  user: string,
  port: number,
  ...more: string[]
): Promise<{ output: Output; bytes: number }> {
  let bytes = 0;
  const output = await run("curl", [
    ...["-q", "--silent", "--show-error", "--noproxy", ""],
    ...["--proxy", proxy.replace("://", `://${user}:pw@`), ...more],
    `http://127.0.0.1:${port}/`,
  ], { onStdout: (chunk) => bytes += chunk.length });
  return { output, bytes };
}

const kinds: [name: string, args: string[], options: ProgramOptions][] = [
  ["", [], {}],
  [" with two workers", ["--workers", "2"], { mayShare: true }],
];

for (const [name, args, more] of kinds) {
  test(
    `a quota cuts off curl's download, and lets other users go on${name}`,
    () =>
      withFolder(async (folder) => {
        const much = await startTarget(sendMuch);
        const little = await startTarget(sendLittle);
        const users = join(folder, "users");
        const hash = await hashPassword("pw", { iterations: 1 });
        const rate = 4_000_000;
        const attributes = ` quota=6M/month rate=${rate}`;
        await writeFile(users, `alice:${hash}${attributes}\nbob:${hash}\n`);
        const flags = ["--port", "0", "--http", "--users-file", users, ...args]
          .concat("--accounting", "1s")
          .concat("--accounting-file", join(folder, "usage.json"));
        const options = { ...more, mayRead: true, mayWrite: true };
        const serve = (use: (program: Program, at: string) => Promise<void>) =>
          withProgram(flags, async (program) => {
            await use(program, `127.0.0.1:${await program.port()}`);
            program.kill("SIGTERM");
            assertEquals((await program.ended).code, 0);
          }, options);
        const refused = async (at: string) => {
          const socks = await download(`socks5://${at}`, "alice", little.port);
          assertEquals([socks.output.code, socks.bytes], [97, 0]);
          const tunnel = await download(
            `http://${at}`,
            "alice",
            little.port,
            "--proxytunnel",
          );
          assertEquals(tunnel.output.code, 56);
          assertMatch(tunnel.output.stderr, /403/);
          const forwarded = await download(
            `http://${at}`,
            "alice",
            little.port,
            "--fail",
          );
          assertEquals(forwarded.output.code, 22);
          assertMatch(forwarded.output.stderr, /403/);
        };
        try {
          await serve(async (program, at) => {
            const first = download(`socks5://${at}`, "alice", much.port);
            const other = await download(`socks5://${at}`, "bob", little.port);
            assertEquals([other.output.code, other.bytes], [0, MIB]);
            const { output, bytes } = await first;
            assert([18, 56].includes(output.code as number), output.stderr);
            const end = JSON.parse(await program.line(/"reason":"quota"/));
            assertEquals(end.user, "alice");
            // A second of traffic, and of another if the machine is busy.
            const relayed = end.sent + end.received;
            assert(relayed >= 6e6 && relayed < 6e6 + 2 * rate, `${relayed}`);
            assert(bytes <= relayed, `${bytes}`);
            await refused(at);
            const again = await download(`http://${at}`, "bob", little.port);
            assertEquals([again.output.code, again.bytes], [0, MIB]);
          });
          await serve((_, at) => refused(at));
        } finally {
          await much.close();
          await little.close();
        }
      }),
    { skip, timeout: 120_000 },
  );
}
