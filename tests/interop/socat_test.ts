/** socat through the server. */

import { Buffer } from "node:buffer";
import { assertEquals } from "@std/assert";
import type { ServerEvent } from "../../src/server/mod.ts";
import { test } from "../support/harness.ts";
import { assertSameOctets } from "../transport/contract.ts";
import { missing, outputOf, run } from "./programs.ts";
import { dial, readToEnd } from "./raw_client.ts";
import { withServer } from "./server.ts";
import { answerAtEnd, answerTo, block } from "./targets.ts";

const help = outputOf("socat", "-hh").toLowerCase();

/** A row: socat's address type, the target, the address with PROXY and TARGET as the ports. */
const cases: readonly (readonly [string, string, string])[] = [
  ["SOCKS4", "127.0.0.1", "127.0.0.1:127.0.0.1:TARGET,socksport=PROXY"],
  ["SOCKS4A", "localhost", "127.0.0.1:localhost:TARGET,socksport=PROXY"],
  ["SOCKS5-CONNECT", "127.0.0.1", "127.0.0.1:PROXY:127.0.0.1:TARGET"],
];

/** Returns why an address type cannot be tested here, or `undefined`. */
function lacking(type: string): string | undefined {
  return help && !help.includes(`${type.toLowerCase()}:`)
    ? `this socat has no ${type}`
    : undefined;
}

for (const [type, hostname, address] of cases) {
  test(
    `serve() delivers the whole answer that follows the FIN of socat ${type}`,
    () =>
      withServer({}, answerAtEnd, async (port, target, server) => {
        const octets = Buffer.concat([block(0), block(1), block(2)]);
        const addr = address.replace("PROXY", `${port}`)
          .replace("TARGET", `${target.port}`);
        const { code, octets: got, stderr } = await run(
          "socat",
          ["-t", "20", "-", `${type}:${addr}`],
          { stdin: octets },
        );
        assertEquals([code, stderr], [0, ""]);
        assertSameOctets(got, answerTo(octets));
        const { session, reason } = await server.ended();
        assertEquals(reason, "finished");
        assertEquals(session.target, { hostname, port: target.port });
      }),
    { skip: missing("socat") ?? lacking(type) },
  );
}

test(
  "serve() reports the user id of socat",
  () =>
    withServer({}, answerAtEnd, async (port, target, server) => {
      const { code } = await run("socat", [
        "-t",
        "20",
        "-",
        `SOCKS4:127.0.0.1:127.0.0.1:${target.port},socksport=${port},socksuser=alice`,
      ], { stdin: "hello" });
      assertEquals(code, 0);
      assertEquals((await server.ended()).session.userId, "alice");
    }),
  { skip: missing("socat") },
);

test(
  "serve() connects a peer to socat SOCKS5-LISTEN, in both directions",
  () => {
    let onBound: (port: number) => void;
    const bound = new Promise<number>((resolve) => onBound = resolve);
    const onEvent = (event: ServerEvent) => {
      if (event.type !== "reply") return;
      const { boundAddr } = event.session;
      if (boundAddr) onBound(boundAddr.port);
    };
    return withServer({ onEvent }, () => {}, async (port, _, server) => {
      const octets = Buffer.concat([block(0), block(1), block(2)]);
      // The port of the expected peer; socat does not accept 0.
      const address = `SOCKS5-LISTEN:127.0.0.1:${port}:127.0.0.1:1`;
      const args = ["-t", "20", "-", address];
      const running = run("socat", args, { stdin: octets });
      const peer = await dial(await bound);
      peer.end(octets.toReversed());
      assertSameOctets(await readToEnd(peer), octets);
      const { code, octets: got, stderr } = await running;
      assertEquals([code, stderr], [0, ""]);
      assertSameOctets(got, octets.toReversed());
      const { session, reason } = await server.ended();
      assertEquals([session.command, reason], ["bind", "finished"]);
      peer.destroy();
    });
  },
  { skip: missing("socat") ?? lacking("SOCKS5-LISTEN") },
);
