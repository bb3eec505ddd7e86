/** The choice of a front end by the first byte of a connection. */

import { assertEquals, assertRejects } from "@std/assert";
import { detectFrontend } from "../../../src/server/frontends/detect.ts";
import { Refusal } from "../../../src/server/frontends/refusal.ts";
import { MessageReader } from "../../../src/transport/message_reader.ts";
import { test } from "../../support/harness.ts";
import { scriptedConn } from "../../support/scripted_conn.ts";
import { octets } from "../../support/table.ts";
import { assertKind, readAll } from "../../transport/contract.ts";

test("detectFrontend() finds SOCKS4 and SOCKS5 by the first byte, and nothing else", async () => {
  for (let first = 0; first <= 255; first++) {
    const reader = new MessageReader(scriptedConn(Uint8Array.of(first)));
    if (first === 4 || first === 5) {
      const { name, version } = await detectFrontend(reader);
      assertEquals([name, version], [`socks${first}`, first]);
      continue;
    }
    const error = await assertRejects(() => detectFrontend(reader), Refusal);
    const { reason, farewell, reply } = error;
    assertEquals([reason, farewell, reply], [
      "protocol-error",
      undefined,
      undefined,
    ]);
  }
});

test("detectFrontend() finds HTTP by a capital letter, if it is served", async () => {
  for (let first = 0; first <= 255; first++) {
    const reader = new MessageReader(scriptedConn(Uint8Array.of(first)));
    const found = await detectFrontend(reader, true).then(
      ({ name, version }) => `${name} ${version}`,
      () => "refused",
    );
    const isCapital = first >= 0x41 && first <= 0x5a;
    const isSocks = first === 4 || first === 5;
    const other = isSocks ? `socks${first} ${first}` : "refused";
    assertEquals(found, isCapital ? "http undefined" : other);
  }
});

test("detectFrontend() leaves all bytes in the reader", async () => {
  for (const chunks of [["05 01 00"], ["05", "01 00"], ["04 01 00"]]) {
    const conn = scriptedConn(...chunks.map(octets));
    const reader = new MessageReader(conn);
    await detectFrontend(reader);
    const all = await readAll(reader.release());
    assertEquals(all, octets(chunks.join(" ")));
  }
});

test("detectFrontend() rejects when the connection ends before its first byte", async () => {
  const reader = new MessageReader(scriptedConn());
  await assertKind(detectFrontend(reader), "ended");
});
