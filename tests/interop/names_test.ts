/** Names that only proxies resolve: no query for one of them leaves this machine. */

import { type Found, LOCAL, REMOTE } from "./names_program.ts";
import "./names_program.ts";
import { assert, assertEquals } from "@std/assert";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DOOR } from "../doors/register/registered.ts";
import { runtime, test } from "../support/harness.ts";
import { missingForRoot, programCommand, run, withFolder } from "./programs.ts";
import { environment } from "./runtimes.ts";

/** Runs a program in a network of its own, whose resolver is the program itself. */
const NETWORK = `
ip link set lo up &&
mount --bind "$0" /etc/resolv.conf &&
exec "$@"`;

const BODIES = ["one.example", "two.example"];
const ECHOES = typeof WebSocket === "function" ? ["hi", "hi"] : [];

test(
  "createFetch(), createWebSocket() and register ask the local resolver for a name only if the proxy's scheme says so",
  () =>
    withFolder(async (folder) => {
      const servers = join(folder, "resolv.conf");
      await writeFile(servers, "nameserver 127.0.0.1\noptions timeout:1\n");
      const hasDoor = runtime === "deno";
      const { code, stdout, stderr } = await run("unshare", [
        ...["--net", "--mount", "sh", "-c", NETWORK, servers],
        ...programCommand("names", ["--allow-all"]),
        ...hasDoor ? [DOOR.href, join(folder, "ca.pem")] : [],
      ], {
        env: { ...environment(), DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" },
      });
      assertEquals(code, 0, stderr);
      const { ways, control, register }: Found = JSON.parse(
        stdout.trim().split("\n").at(-1)!,
      );
      const brought = { bodies: BODIES, echoes: ECHOES, names: [] };
      for (const way of REMOTE) assertEquals(ways[way], brought, way);
      // The resolver is that of the program.
      const names = ["one.example", "three.example", "two.example"];
      assertEquals(ways[LOCAL], { ...brought, names });
      assert(control.includes("control.example"));
      if (!hasDoor) return;
      assertEquals(register, { ...brought, bodies: BODIES.slice(0, 1) });
    }),
  { skip: missingForRoot("unshare", "mount", "ip") },
);
