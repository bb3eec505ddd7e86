/** BIND and UDP ASSOCIATE of the server, used by the npm package `socks`. */

import type { Findings } from "./npm_socks_program.ts";
import "./npm_socks_program.ts";
import { assertEquals } from "@std/assert";
import { test } from "../support/harness.ts";
import { startServer } from "../support/server.ts";
import { run } from "./programs.ts";
import { installed, missingRuntime, withProgramOn } from "./runtimes.ts";
import { startDatagramTarget } from "./targets.ts";

test(
  "serve() runs BIND and UDP ASSOCIATE for the npm package socks",
  async () => {
    const folder = await installed("socks@2.8.10");
    const target = await startDatagramTarget();
    const server = await startServer();
    try {
      const { port } = server.server.addr;
      const { bind, associate } = await withProgramOn(
        "node",
        "npm_socks",
        async ([command, ...args]): Promise<Findings> => {
          const values = [folder, `${port}`, `${target.port}`];
          const { code, stdout, stderr } = await run(
            command,
            [...args, ...values],
          );
          assertEquals([code, stderr], [0, ""]);
          return JSON.parse(stdout);
        },
      );
      for (const { bound, peer, received } of Object.values(bind)) {
        assertEquals(bound.host, "127.0.0.1");
        assertEquals(...peer);
        assertEquals(received, ["from the client", "from the peer"]);
      }
      const source = { host: "127.0.0.1", port: target.port };
      assertEquals(associate, {
        answers: ["to 127.0.0.1", "to localhost"],
        sources: [source, source],
      });
      const ends = [];
      for (let i = 0; i < 3; i++) ends.push(await server.ended());
      assertEquals(
        ends.map(({ session, reason }) =>
          `${session.version} ${session.command} ${reason}`
        ),
        ["4 bind finished", "5 bind finished", "5 udp-associate finished"],
      );
    } finally {
      await server.close();
      await target.close();
    }
  },
  { skip: missingRuntime("node") ?? missingRuntime("deno") },
);
