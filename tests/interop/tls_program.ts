/**
 * A server with TLS, as a program on any runtime. Prints its port, and a
 * {@linkcode TlsSession} on each line after it.
 *
 * @module
 */

import process from "node:process";
import { serve } from "../../src/server/serve.ts";
import type { TlsServerOptions } from "../../src/transport/tls_options.ts";

/** What the server prints when a session ends. */
export interface TlsSession {
  readonly user?: string;
  readonly version?: string;
  readonly reason: string;
  readonly sent: number;
  readonly received: number;
}

if (process.argv[2] === "run-tls") {
  const tls: TlsServerOptions = JSON.parse(process.argv[3]);
  const { addr, finished } = await serve({
    port: 0,
    tls,
    onEvent(event) {
      if (event.type !== "session-end") return;
      const { session: { user, sent, received, tls }, reason } = event;
      const facts = { user, version: tls?.version, reason, sent, received };
      console.log(JSON.stringify(facts satisfies TlsSession));
    },
  });
  console.log(addr.port);
  await finished;
}
