/** The names that the resolver of the system is asked for. */

import { type Found, WAYS } from "./resolver_program.ts";
import { assertEquals } from "@std/assert";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DOOR } from "../doors/register/registered.ts";
import { runtime, test } from "../support/harness.ts";
import { missingForRoot, programCommand, run, withFolder } from "./programs.ts";
import { environment } from "./runtimes.ts";

/** A network without any other machine, and the resolver on port 53 of this one. */
const NETWORK = `
ip link set lo up &&
mount --bind "$0" /etc/resolv.conf &&
exec "$@"`;

const skip = typeof WebSocket === "function"
  ? missingForRoot("unshare", "ip", "mount")
  : "Node.js 20 has no WebSocket";

test(
  "createWebSocket() and register ask the local resolver for no name of a target",
  () =>
    withFolder(async (folder) => {
      const servers = join(folder, "resolv.conf");
      await writeFile(servers, "nameserver 127.0.0.1\noptions timeout:1\n");
      const hasDoor = runtime === "deno";
      const { code, stdout, stderr } = await run("unshare", [
        ...["--net", "--mount", "sh", "-c", NETWORK, servers],
        ...programCommand("resolver", ["--allow-all"]),
        ...hasDoor ? [DOOR.href, join(folder, "ca.pem")] : [],
      ], { env: { ...environment(), DENO_NO_UPDATE_CHECK: "1" } });
      assertEquals(code, 0, stderr);
      const { received, asked, requested }: Found = JSON.parse(
        stdout.trim().split("\n").at(-1)!,
      );
      const names = [
        ...WAYS.map(([name]) => name),
        ...hasDoor ? ["register"] : [],
      ];
      assertEquals(
        received,
        Object.fromEntries(names.map((it) => [it, ["hi", "hi"]])),
      );
      // The resolver works: the program itself has asked for this name.
      assertEquals(asked, ["control.test"]);
      assertEquals(requested, ["127.0.0.1", "one.test"]);
    }),
  { skip },
);
