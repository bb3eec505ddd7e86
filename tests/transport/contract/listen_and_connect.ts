/**
 * The contract of listening, connecting and look-ups.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { NetError } from "../../../src/transport/errors.ts";
import type { Conn } from "../../../src/transport/transport.ts";
import {
  assertKind,
  connectedPair,
  pattern,
  readExactly,
  settled,
  until,
} from "../../support/conns.ts";
import type { Check, ContractOptions } from "./check.ts";

/** The tests of listeners and connection attempts. */
export function listenAndConnect(
  check: Check,
  contract: ContractOptions,
): void {
  check(
    "listen() returns the port when the system chose it",
    async (transport) => {
      const listener = await transport.listen(
        { hostname: "127.0.0.1", port: 0 },
        () => {},
      );
      assertEquals(listener.addr.hostname, "127.0.0.1");
      assert(listener.addr.port > 0);
      await listener.close();
    },
  );

  check(
    "connect() and listen() report the same two addresses",
    async (transport) => {
      for (const hostname of ["127.0.0.1", "::1"]) {
        const pair = await connectedPair(transport, hostname);
        assertEquals(pair.near.remoteAddr, pair.far.localAddr);
        assertEquals(pair.near.localAddr, pair.far.remoteAddr);
        assertEquals(pair.near.remoteAddr.hostname, hostname);
        await pair.close();
      }
    },
  );

  check(
    "listen() and connect() accept brackets and report none",
    async (transport) => {
      const pair = await connectedPair(transport, "[::1]");
      assertEquals(pair.near.remoteAddr.hostname, "::1");
      await pair.close();
    },
  );

  check(
    "connect() uses `localAddress` when it is given",
    async (transport) => {
      let accepted!: (conn: Conn) => void;
      const incoming = new Promise<Conn>((resolve) => accepted = resolve);
      const listener = await transport.listen(
        { hostname: "127.0.0.1", port: 0 },
        (conn) => accepted(conn),
      );
      const { signal } = new AbortController(); // its listeners are removed on failure, too
      const attempt = (localAddress: string) =>
        transport.connect({ ...listener.addr, localAddress, signal });
      const near = await attempt("127.0.0.2");
      assertEquals((await incoming).remoteAddr.hostname, "127.0.0.2");
      near.close();
      (await incoming).close();
      await assertKind(attempt("192.0.2.1"), "addr-not-available");
      await listener.close();
    },
  );

  check(
    "listen() reports an IPv4 address when an IPv4 peer connects to ::",
    async (transport) => {
      let accepted!: (conn: Conn) => void;
      const incoming = new Promise<Conn>((resolve) => accepted = resolve);
      const listener = await transport.listen(
        { hostname: "::", port: 0 },
        accepted,
      );
      assertEquals(listener.addr.hostname, "::");
      const near = await transport.connect({
        hostname: "127.0.0.1",
        port: listener.addr.port,
      });
      const far = await incoming;
      assertEquals(far.remoteAddr.hostname, "127.0.0.1");
      assertEquals(far.localAddr.hostname, "127.0.0.1");
      near.close();
      far.close();
      await listener.close();
    },
  );

  check(
    "listen() rejects with addr-in-use and addr-not-available",
    async (transport) => {
      const listener = await transport.listen(
        { hostname: "127.0.0.1", port: 0 },
        () => {},
      );
      await assertKind(
        transport.listen(listener.addr, () => {}),
        "addr-in-use",
      );
      await listener.close();
      await assertKind(
        transport.listen({ hostname: "192.0.2.1", port: 0 }, () => {}),
        "addr-not-available",
      );
    },
  );

  check(
    contract.noReusePort
      ? "listen() rejects with invalid when a port is to be shared"
      : "listen() distributes connections when two listeners share a port",
    async (transport) => {
      assertEquals(transport.canReusePort ?? false, !contract.noReusePort);
      const shared = { hostname: "127.0.0.1", port: 0, reusePort: true };
      if (contract.noReusePort) {
        return await assertKind(transport.listen(shared, () => {}), "invalid");
      }
      const got: Conn[][] = [[], []];
      const first = await transport.listen(shared, (it) => got[0].push(it));
      const second = await transport.listen(
        { ...first.addr, reusePort: true },
        (it) => got[1].push(it),
      );
      // The kernel distributes them at random: 500 for one listener is next to impossible.
      const conns: Conn[] = [];
      while (conns.length < 500 && !(got[0].length && got[1].length)) {
        conns.push(await transport.connect(first.addr));
        await until(() => got[0].length + got[1].length === conns.length);
      }
      assert(got[0].length > 0 && got[1].length > 0);
      await assertKind(transport.listen(first.addr, () => {}), "addr-in-use");
      for (const conn of [...conns, ...got.flat()]) conn.close();
      await first.close();
      await second.close();
    },
  );

  check(
    "listen() rejects when only one of two listeners shares the port",
    async (transport) => {
      const listener = await transport.listen(
        { hostname: "127.0.0.1", port: 0 },
        () => {},
      );
      await assertKind(
        transport.listen({ ...listener.addr, reusePort: true }, () => {}),
        contract.noReusePort ? "invalid" : "addr-in-use",
      );
      await listener.close();
    },
  );

  check(
    "listener.close() refuses further connections, releases the port and keeps connections open",
    async (transport) => {
      let accepted!: (conn: Conn) => void;
      const incoming = new Promise<Conn>((resolve) => accepted = resolve);
      const listener = await transport.listen(
        { hostname: "127.0.0.1", port: 0 },
        accepted,
      );
      const near = await transport.connect(listener.addr);
      const far = await incoming;
      await listener.close();
      await assertKind(transport.connect(listener.addr), "refused");
      await near.write(pattern(10));
      assertEquals(await readExactly(far, 10), pattern(10));
      const again = await transport.listen(listener.addr, () => {});
      await again.close();
      near.close();
      far.close();
    },
  );

  check(
    "connect() rejects with refused when nothing listens, and with invalid for port 0",
    async (transport) => {
      const listener = await transport.listen(
        { hostname: "127.0.0.1", port: 0 },
        () => {},
      );
      await listener.close();
      await assertKind(transport.connect(listener.addr), "refused");
      await assertKind(
        transport.connect({ hostname: "127.0.0.1", port: 0 }),
        "invalid",
      );
    },
  );

  check(
    "connect() rejects with the reason of its signal",
    async (transport) => {
      const accepted: Conn[] = [];
      const listener = await transport.listen(
        { hostname: "127.0.0.1", port: 0 },
        (conn) => accepted.push(conn),
      );
      const { addr } = listener;
      await assertKind(
        transport.connect({ ...addr, signal: AbortSignal.abort() }),
        "aborted",
      );
      const reason = new NetError("timeout", "too slow");
      const controller = new AbortController();
      const attempt = transport.connect({ ...addr, signal: controller.signal });
      controller.abort(reason);
      assertEquals(await attempt.catch((error) => error), reason);
      const conn = await transport.connect({
        ...addr,
        signal: new AbortController().signal,
      });
      await listener.close();
      await settled(); // the listener may accept connections after connect() has resolved
      for (const it of [conn, ...accepted]) it.close();
    },
  );

  check("listen() accepts 200 connections at once", async (transport) => {
    const accepted: Conn[] = [];
    const listener = await transport.listen(
      { hostname: "127.0.0.1", port: 0 },
      (conn) => accepted.push(conn),
    );
    const conns = await Promise.all(
      Array.from({ length: 200 }, () => transport.connect(listener.addr)),
    );
    await until(() => accepted.length === 200);
    for (const conn of [...conns, ...accepted]) conn.close();
    await listener.close();
  });

  check(
    "reverse() finds a name of this machine and rejects with dns",
    async (transport) => {
      assertMatch(await transport.reverse!("127.0.0.1"), /^[a-z][a-z\d.-]*$/i);
      await assertKind(transport.reverse!("no address"), "dns");
    },
  );

  check("lookup() finds localhost and rejects with dns", async (transport) => {
    const addresses = await transport.lookup("localhost");
    assert(addresses.includes("127.0.0.1") || addresses.includes("::1"));
    assertEquals(await transport.lookup("127.0.0.1"), ["127.0.0.1"]);
    await assertKind(transport.lookup(`${"a".repeat(64)}.invalid`), "dns");
  });
}
