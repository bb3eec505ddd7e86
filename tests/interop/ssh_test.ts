/** ssh to an sshd through our server, by way of a ProxyCommand. */

import { assert, assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { test } from "../support/harness.ts";
import { startServer } from "../support/server.ts";
import { missing, run } from "./programs.ts";
import { withSshd } from "./sshd.ts";
import { blocks, checksum, MIB } from "./targets.ts";

/** A row: the program that goes through the proxy, and its command with PROXY for the port. */
const ways: readonly (readonly [string, string])[] = [
  ["ncat", "ncat --proxy 127.0.0.1:PROXY --proxy-type socks5 %h %p"],
  ["socat", "socat - SOCKS4A:127.0.0.1:%h:%p,socksport=PROXY"],
];

for (const [program, command] of ways) {
  test(
    `ssh with ${program} runs a command and carries 10 MiB there and back`,
    () =>
      withSshd(async ({ ssh }) => {
        const server = await startServer();
        const { port } = server.server.addr;
        const proxy = `ProxyCommand=${command.replace("PROXY", `${port}`)}`;
        try {
          const args = ["-o", proxy, ...ssh];
          const said = await run("ssh", [...args, "echo ok"]);
          assertEquals([said.stderr, said.stdout, said.code], ["", "ok\n", 0]);
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
