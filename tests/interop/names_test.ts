/** Names that only proxies resolve: no query of the door into `fetch()` leaves this machine. */

import { type Found, REMOTE } from "./names_program.ts";
import "./names_program.ts";
import { assert, assertEquals } from "@std/assert";
import { runtime, test } from "../support/harness.ts";
import { missingForRoot, programCommand, run } from "./programs.ts";
import { environment } from "./runtimes.ts";

/** Runs a program in a network of its own, whose resolver is the program itself. */
const NETWORK = `ip link set lo up &&
file=$(mktemp) &&
echo "nameserver 127.0.0.1" > "$file" &&
mount --bind "$file" /etc/resolv.conf &&
rm "$file" &&
exec "$0" "$@"`;

test(
  "createFetch() asks the local resolver for names only if the proxy's scheme says so",
  async () => {
    const program = programCommand("names", ["--allow-all"]);
    const args = ["--net", "--mount", "sh", "-c", NETWORK, ...program];
    const { code, stdout, stderr } = await run("unshare", args, {
      env: { ...environment(), DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" },
    });
    assertEquals(code, 0, stderr);
    const found: Found = JSON.parse(stdout.trim().split("\n").at(-1)!);
    const bodies = ["one.example", "two.example"];
    for (const scheme of REMOTE) {
      assertEquals(found[scheme], { bodies, names: [] }, scheme);
    }
    // The resolver is that of the program.
    assertEquals(found.socks5.bodies, bodies);
    assertEquals(
      [...new Set(found.socks5.names)].sort(),
      ["one.example", "three.example", "two.example"],
    );
    assert(found.control.names.includes("control.example"));
    if (runtime !== "deno") return;
    assertEquals(found.register, { bodies: ["one.example"], names: [] });
  },
  { skip: missingForRoot("unshare", "mount", "ip") },
);
