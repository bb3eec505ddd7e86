/**
 * The contract of source addresses.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { assertKind } from "../../support/conns.ts";
import type { Check, ContractOptions } from "./check.ts";

/** The tests of {@linkcode Transport.sourceAddress}. */
export function sourceAddresses(check: Check, options: ContractOptions): void {
  check("sourceAddress() returns loopback for loopback", async (transport) => {
    assertEquals(await transport.sourceAddress("127.0.0.1"), "127.0.0.1");
    assertEquals(await transport.sourceAddress("::1"), "::1");
    assertEquals(await transport.sourceAddress("[::1]"), "::1");
    assertEquals(
      await transport.sourceAddress("::ffff:127.0.0.1"),
      "127.0.0.1",
    );
  });

  check(
    "sourceAddress() returns an address that can be bound when there is a route",
    async (transport) => {
      for (const hostname of ["192.0.2.1", "2001:db8::1"]) {
        const source = await transport.sourceAddress(hostname)
          .catch((error) => error.kind);
        if (/unreachable$/.test(source)) continue;
        const socket = await transport.datagrams(
          { hostname: source, port: 0 },
          () => {},
        );
        assertEquals(socket.addr.hostname, source);
        socket.close();
      }
    },
  );

  const outcome = options.noRoutes ? "returns zeros" : "rejects";
  check(
    `sourceAddress() ${outcome} when there is no route`,
    async (transport) => {
      for (const hostname of ["255.255.255.255", "fe80::1"]) {
        const source = transport.sourceAddress(hostname);
        if (options.noRoutes) {
          const unknown = hostname.includes(":") ? "::" : "0.0.0.0";
          assertEquals(await source, unknown);
        } else {
          // A broadcast needs permission, a link-local address the name of its link.
          await assertKind(source, "denied", "net-unreachable");
        }
      }
    },
  );
}
