/** GSSAPI with Kerberos, together with Dante's client and Dante's server. */

import "./gssapi_program.ts";
import { assert, assertEquals } from "@std/assert";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "../support/harness.ts";
import { assertSameOctets, pattern } from "../transport/contract.ts";
import { missingDante, socksifyByGssapi, withDante } from "./dante_gssapi.ts";
import { withFtpd } from "./ftpd.ts";
import {
  assertFulfilled,
  runGssapiClient,
  withGssapiServer,
} from "./gssapi.ts";
import { PRINCIPAL, withRealm } from "./realm.ts";
import { echo, MIB, startDatagramTarget, startTarget } from "./targets.ts";

const levels = [2, 1, 0] as const;

for (const level of levels) {
  test(
    `gssapi() serves Dante's client at level ${level}: CONNECT, UDP, BIND`,
    () =>
      withRealm((realm) =>
        withGssapiServer(
          realm,
          { levels: [level] },
          async ({ port, sessions }) => {
            const through = (
              command: string[],
              stdin = "" as string | Uint8Array,
            ) => socksifyByGssapi(realm, level, port, command, { stdin });

            const octets = pattern(2 * MIB);
            const target = await startTarget(echo);
            const tcp = `TCP4:127.0.0.1:${target.port}`;
            const connected = await through(
              ["socat", "-t", "20", "-", tcp],
              octets,
            );
            assertEquals([connected.code, connected.stderr], [0, ""]);
            assertSameOctets(connected.octets, octets);
            await target.close();

            const datagrams = await startDatagramTarget();
            const udp = `UDP4:127.0.0.1:${datagrams.port},shut-null,null-eof`;
            const payload = pattern(20_000);
            const sent = await through(
              ["socat", "-b", "1000", "-t", "20", "-", udp],
              payload,
            );
            assertEquals([sent.code, sent.stderr], [0, ""]);
            assertSameOctets(sent.octets, payload);
            await datagrams.close();

            await withFtpd(async (ftpd) => {
              // An upload: data that comes with the second reply gets lost in Dante's client.
              const up = pattern(100_000);
              const url = `ftp://127.0.0.1:${ftpd.port}/in/up`;
              const active = ["--disable-eprt", "--ftp-port", "-"];
              const args = ["-qsS", ...active, "--upload-file", "-", url];
              const put = await through(["curl", ...args], up);
              assertEquals(put.code, 0, put.stderr);
              assertSameOctets(await readFile(join(ftpd.inbox, "up")), up);
            });

            const ended = await sessions(4);
            const commands = ended.map(({ command }) => command).sort();
            assertEquals(commands, [
              "bind",
              "connect",
              "connect",
              "udp-associate",
            ]);
            for (const { user, method, reason } of ended) {
              assertEquals([user, method, reason], [
                PRINCIPAL,
                "gssapi",
                "finished",
              ]);
            }
          },
        )
      ),
    { skip: missingDante("socat", "curl", "vsftpd") },
  );

  test(
    `gssapiLogin() goes through Dante's server at level ${level}: CONNECT, UDP, BIND`,
    () =>
      withRealm((realm) =>
        withDante(realm, [level], async (port) => {
          const target = await startTarget(echo);
          const datagrams = await startDatagramTarget();
          const task = {
            port,
            login: { levels: [level] },
            echo: { port: target.port, size: 2 * MIB + 1 },
            bind: true,
            datagrams: { port: datagrams.port, sizes: [1, 1_000, 60_000] },
          };
          assertFulfilled(await runGssapiClient(realm, task), task);
          await target.close();
          await datagrams.close();
        })
      ),
    { skip: missingDante() },
  );
}

test(
  "gssapiLogin() fails when Dante's server grants no acceptable level",
  () =>
    withRealm((realm) =>
      withDante(realm, [1], async (port) => {
        const login = { levels: [2] as const };
        const task = { port, login, echo: { port: 9, size: 1 } };
        const { code, message } = await runGssapiClient(realm, task);
        assert(code === "login-failed" || code === "proxy-closed", message);
      })
    ),
  { skip: missingDante() },
);
