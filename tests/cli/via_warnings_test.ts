/** Warnings of addresses to connect from. */

import { assert, assertEquals } from "@std/assert";
import { viaWarnings } from "../../src/cli/commands/via_warnings.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { NetError } from "../../src/transport/errors.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { test } from "../support/harness.ts";

test("viaWarnings() checks all addresses, however few file descriptors there are", async () => {
  let open = 0;
  const transport: Transport = {
    ...await detectTransport(),
    async datagrams({ hostname }) {
      if (open >= 200) throw new NetError("descriptors");
      open++;
      await Promise.resolve();
      open--;
      throw new NetError("addr-not-available", hostname);
    },
  };
  const via = Array.from(
    { length: 1_000 },
    (_, i) => `203.0.${113 + (i >> 8)}.${i & 255}`,
  );
  const warnings = await viaWarnings(via, transport);
  assertEquals(warnings.length, via.length);
  assert(via.every((it, i) => warnings[i].startsWith(`via ${it}: `)));
});
