/** Native memory of GSS-API: everything is released, whatever fails. */

import { assertEquals } from "@std/assert";
import { Acceptor } from "../../src/gssapi/native/acceptor.ts";
import { Credential } from "../../src/gssapi/native/credential.ts";
import { Initiator } from "../../src/gssapi/native/initiator.ts";
import { GssLibrary } from "../../src/gssapi/native/library.ts";
import { test } from "../support/harness.ts";
import { type Failure, ScriptedLibrary } from "../support/scripted_library.ts";

const TOKEN = new Uint8Array(100);
const SERVICE = "rcmd@localhost";

/** Both sides, and a message in each direction. */
async function useInitiator(library: GssLibrary): Promise<void> {
  const context = new Initiator(library, SERVICE);
  try {
    await context.step(null);
    await context.step(TOKEN);
    context.wrapSizeLimit(65_535, true);
    context.wrap(TOKEN, true);
    context.wrap(new Uint8Array(70_000), true); // longer than the shared buffer
    context.unwrap(TOKEN);
  } finally {
    context.close();
    context.close();
  }
}

function useAcceptor(
  library: GssLibrary,
  credential: Credential,
): void {
  const context = new Acceptor(library, credential);
  try {
    context.step(TOKEN);
    context.wrap(TOKEN, true);
    context.unwrap(TOKEN);
  } finally {
    context.close();
    context.close();
  }
}

async function acquire(
  library: GssLibrary,
  _keys: Credential,
  service?: string,
): Promise<void> {
  await library.acquireAcceptor("/etc/socks.keytab", service);
}

const uses = {
  useInitiator,
  useAcceptor,
  acquire,
  acquireForService: (library: GssLibrary, keys: Credential) =>
    acquire(library, keys, SERVICE),
} as const;

/** A row: what uses the library, and the function that fails. */
const rows: readonly (readonly [keyof typeof uses, string?])[] = [
  ["useInitiator"],
  ["useInitiator", "cachePrincipal"],
  ["useInitiator", "acquireCredFrom"],
  ["useInitiator", "importName"],
  ["useInitiator", "initSecContext"],
  ["useInitiator", "wrapSizeLimit"],
  ["useInitiator", "wrap"],
  ["useInitiator", "encryption"],
  ["useInitiator", "unwrap"],
  ["useAcceptor"],
  ["useAcceptor", "acceptSecContext"],
  ["useAcceptor", "displayName"],
  ["useAcceptor", "wrap"],
  ["useAcceptor", "unwrap"],
  ["acquire", "acquireCredFrom"],
  ["acquireForService", "importName"],
  ["acquireForService", "acquireCredFrom"],
];

for (const [use, failing] of rows) {
  for (const failure of failing ? ["fails", "throws"] as Failure[] : [""]) {
    test(`GssLibrary releases all memory when ${use} ${failing ?? ""} ${failure}`, async () => {
      const script = new ScriptedLibrary();
      const library = new GssLibrary(script.functions);
      const keys = new Credential(library, await library.acquireAcceptor());
      const before = script.counts;
      if (failing) script.failures.set(failing, failure as Failure);
      let failed = false;
      for (let i = 0; i < 3; i++) {
        try {
          await uses[use](library, keys);
        } catch {
          failed = true;
        }
      }
      assertEquals(script.counts, before);
      if (failing && failing !== "encryption") assertEquals(failed, true);
    });
  }
}

for (const call of ["importName", "initSecContext"]) {
  test(`Initiator releases all memory when it is closed during ${call}`, async () => {
    const script = new ScriptedLibrary();
    const library = new GssLibrary(script.functions);
    const before = script.counts;
    const context = new Initiator(library, SERVICE);
    let calls = 0;
    script.onThread = () => {
      // The thread still uses the memory.
      if (++calls === (call === "importName" ? 1 : 2)) context.close();
    };
    const error = await context.step(null).catch((it) => it);
    assertEquals(error.code, "closed");
    assertEquals(script.counts, before);
  });
}
