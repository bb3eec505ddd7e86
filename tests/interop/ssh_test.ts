/** ssh with a ProxyCommand through the server to an sshd. */

import { assert, assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { test } from "../support/harness.ts";
import { startServer } from "../support/server.ts";
import { missing, run } from "./programs.ts";
import { withSshd } from "./sshd.ts";
import { blocks, checksum, MIB } from "./targets.ts";

/** A row: the client program, and its command with PROXY as the port. */
const cases: readonly (readonly [string, string])[] = [
  ["ncat", "ncat --proxy 127.0.0.1:PROXY --proxy-type socks5 %h %p"],
  ["socat", "socat - SOCKS4A:127.0.0.1:%h:%p,socksport=PROXY"],
];

for (const [program, command] of cases) {
  test(
    `serve() carries a command and 10 MiB both ways for ssh with ${program}`,
    () =>
      withSshd(async ({ ssh }) => {
        const server = await startServer();
        const { port } = server.server.addr;
        const proxy = `ProxyCommand=${command.replace("PROXY", `${port}`)}`;
        try {
          const args = ["-o", proxy, ...ssh];
          const echoed = await run("ssh", [...args, "echo ok"]);
          assertEquals([echoed.stderr, echoed.stdout, echoed.code], [
            "",
            "ok\n",
            0,
          ]);
          await server.ended();

          const hash = createHash("sha256");
          const { code, stderr } = await run("ssh", [...args, "cat"], {
            stdin: blocks(10),
            onStdout: (chunk) => hash.update(chunk),
          });
          assertEquals([stderr, code], ["", 0]);
          assertEquals(hash.digest("hex"), checksum(10));
          const { session } = await server.ended();
          assert(session.sent > 10 * MIB, `${session.sent}`);
          assert(session.received > 10 * MIB, `${session.received}`);
        } finally {
          await server.close();
        }
      }),
    { skip: missing("ssh", "sshd", "ssh-keygen", program) },
  );
}
