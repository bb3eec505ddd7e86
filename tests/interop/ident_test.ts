/** User ids of SOCKS4 that a real identd confirms. */

import { assertEquals } from "@std/assert";
import { test } from "../support/harness.ts";
import { octets } from "../support/table.ts";
import { block, connectFrom, hex, hungUp } from "../support/raw.ts";
import { echo, startServer, startTarget } from "../support/server.ts";
import { missing, outputOf, withListening } from "./programs.ts";

/** The addresses of the server and of the client. */
const OURS = "127.0.0.2";
const THEIRS = "127.0.0.3";

test(
  "serve() accepts the user that oidentd reports when neither end has the first address of its machine",
  () =>
    withListening(
      "oidentd",
      (port) => [
        "--foreground",
        "--nosyslog",
        "--config=/dev/null",
        `--port=${port}`,
        "--address=127.0.0.1", // to find out when it listens
        `--address=${THEIRS}`,
      ],
      async (port) => {
        const target = await startTarget(echo);
        const server = await startServer({
          hostname: OURS,
          socks4: { ident: { port } },
        });
        const username = outputOf("id", "-un").trim();
        for (
          const [user, answer] of [[username, "5a"], ["nobody-else", "5d"]]
        ) {
          const socket = await connectFrom(THEIRS, server.server.addr);
          const answered = new Promise<Uint8Array>((resolve) =>
            socket.once("data", resolve)
          );
          const address = block(target.addr).split(" ");
          const [a, b, c, d, high, low] = address.slice(1);
          const addressed = [high, low, a, b, c, d].join(" ");
          socket.write(octets(`04 01 ${addressed} "${user}" 00`));
          assertEquals(hex((await answered).subarray(0, 2)), `00 ${answer}`);
          socket.end();
          await hungUp(socket);
          await server.ended();
        }
        await server.close();
        await target.close();
      },
    ),
  { skip: missing("oidentd") },
);
