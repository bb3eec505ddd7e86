/** Nmap's ncat through the server. */

import { Buffer } from "node:buffer";
import { assertEquals } from "@std/assert";
import { test } from "../support/harness.ts";
import { assertSameOctets } from "../transport/contract.ts";
import { userPass } from "../../src/server/mod.ts";
import { missing, run } from "./programs.ts";
import { withServer } from "./server.ts";
import { answerAtEnd, answerTo, block, echo } from "./targets.ts";

const skip = missing("ncat");

/** A row: ncat's proxy type, and the target. */
const cases: readonly (readonly [string, string])[] = [
  ["socks4", "127.0.0.1"],
  ["socks5", "127.0.0.1"],
  ["socks5", "::1"],
];

for (const [type, hostname] of cases) {
  test(
    `serve() delivers the whole answer of ${hostname} that follows the FIN of ncat by ${type}`,
    () =>
      withServer({}, answerAtEnd, async (port, target, server) => {
        const octets = Buffer.concat([block(0), block(1), block(2)]);
        const proxy = ["--proxy", `127.0.0.1:${port}`, "--proxy-type", type];
        const { code, octets: answer } = await run(
          "ncat",
          [...proxy, hostname, `${target.port}`],
          { stdin: octets },
        );
        assertEquals(code, 0);
        assertSameOctets(answer, answerTo(octets));
        const { session, reason } = await server.ended();
        assertEquals(reason, "finished");
        assertEquals(session.sent, octets.length);
        assertEquals(session.target, { hostname, port: target.port });
      }),
    { skip },
  );
}

for (const password of ["correct horse", "wrong"]) {
  const isCorrect = password !== "wrong";
  test(
    `serve() ${
      isCorrect ? "accepts" : "refuses"
    } ncat --proxy-auth with the password ${password}`,
    () =>
      withServer(
        { auth: [userPass({ alice: "correct horse" })] },
        echo,
        async (port, target) => {
          const { code, stdout } = await run("ncat", [
            ...["--proxy", `127.0.0.1:${port}`, "--proxy-type", "socks5"],
            ...["--proxy-auth", `alice:${password}`],
            ...["127.0.0.1", `${target.port}`],
          ], { stdin: "hello" });
          assertEquals([code, stdout], isCorrect ? [0, "hello"] : [1, ""]);
          assertEquals(target.connections, isCorrect ? 1 : 0);
        },
      ),
    { skip },
  );
}
