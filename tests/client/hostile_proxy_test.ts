/** Proxies that stall, end, reset, send garbage or send early, at every octet. */

import { assertEquals, assertRejects } from "@std/assert";
import {
  ClientHandshake,
  connect,
  NetError,
  SocksError,
  type SocksErrorCode,
  type SocksPhase,
} from "../../src/client/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { openSockets, test } from "../support/harness.ts";
import { countListeners, overridden } from "../support/scripted.ts";
import { type ScriptedConn, scriptedConn } from "../support/scripted_conn.ts";
import { echo, startServer, startTarget } from "../support/server.ts";
import { join, octets, random } from "../support/table.ts";
import { readExactly, settled, until } from "../transport/contract.ts";
import { answersOf, type Dialogue, dialogues, TARGET } from "./dialogues.ts";

/** The phase after these octets of the proxy. */
function phaseAfter(
  { proxy, options }: Dialogue,
  sent: Uint8Array,
): SocksPhase {
  const handshake = new ClientHandshake(proxy, TARGET, options);
  handshake.start();
  for (const octet of sent) handshake.feed(Uint8Array.of(octet));
  return handshake.phase;
}

/** Delivers octets one by one and then does something else. */
function conn(sent: Uint8Array, then: () => Promise<Uint8Array | null>) {
  const chunks = Array.from(sent, (octet) => Uint8Array.of(octet));
  const read = () => {
    const chunk = chunks.shift();
    return chunk ? Promise.resolve(chunk) : then();
  };
  return overridden(scriptedConn(), { read }) as ScriptedConn;
}

/** Connects over the connection by a clock that the test controls. */
async function attempt(dialogue: Dialogue, over: Conn) {
  const clock = new FakeClock();
  const transport = { ...await detectTransport(), clock };
  const { proxy, options } = dialogue;
  const timeout = 5_000;
  const connecting = connect(proxy, TARGET, {
    ...options,
    ...{ conn: over, transport, timeout },
  });
  let isPending = true;
  connecting.then(() => isPending = false, () => isPending = false);
  for (let i = 0; isPending && i < 500; i++) await undefined;
  clock.advance(timeout - 1);
  for (let i = 0; isPending && i < 10; i++) await undefined;
  const isLate = isPending;
  clock.advance(1);
  return { connecting, clock, isLate };
}

async function assertFails(
  dialogue: Dialogue,
  over: ScriptedConn,
  code: SocksErrorCode,
  phase: SocksPhase,
  at: number,
): Promise<void> {
  const { connecting, clock, isLate } = await attempt(dialogue, over);
  const error = await assertRejects(() => connecting, SocksError);
  const shown = `octet ${at}: ${error.message}`;
  assertEquals([error.code, error.phase], [code, phase], shown);
  assertEquals(isLate, code === "timeout", shown);
  assertEquals(error.hop?.number, 1);
  assertEquals(over.closed, true, shown);
  assertEquals(clock.timers, 0, shown);
}

const failures: [
  does: string,
  then: () => Promise<Uint8Array | null>,
  code: SocksErrorCode,
][] = [
  ["stalls", () => new Promise(() => {}), "timeout"],
  ["ends", () => Promise.resolve(null), "proxy-closed"],
  ["resets", () => Promise.reject(new NetError("reset")), "proxy-closed"],
];

for (const dialogue of dialogues) {
  const { name, exchanges } = dialogue;
  const answers = answersOf(dialogue);

  for (const [does, then, code] of failures) {
    test(`connect() rejects with ${code} when a proxy of ${name} ${does} at any octet`, async () => {
      for (let at = 0; at < answers.length; at++) {
        const sent = answers.slice(0, at);
        const phase = phaseAfter(dialogue, sent);
        await assertFails(dialogue, conn(sent, then), code, phase, at);
      }
    });
  }

  test(`connect() rejects when a proxy of ${name} sends garbage at any octet`, async () => {
    const codes: Record<string, SocksErrorCode> = {
      P: "protocol",
      R: "rejected",
      L: "login-failed",
      T: "timeout",
    };
    const expected = exchanges.map(([, , garbage]) => garbage).join("");
    assertEquals(expected.length, answers.length);
    let found = "";
    for (let at = 0; at < answers.length; at++) {
      const sent = join(answers.slice(0, at), GARBAGE);
      const stalls = () => new Promise<never>(() => {});
      const over = conn(sent, stalls);
      const { connecting } = await attempt(dialogue, over);
      const code: string = await connecting.then(
        () => "connected",
        (error) => error.code,
      );
      const [letter = "."] = Object.entries(codes).find(([, it]) =>
        it === code
      ) ?? [];
      found += letter;
      assertEquals(over.closed, letter !== ".");
    }
    assertEquals(found, expected);
  });

  test(`connect() loses nothing when a proxy of ${name} sends early`, async () => {
    const early = octets('"SSH-2.0" 0D 0A');
    const all = join(answers, early);
    for (let at = 0; at <= all.length; at++) {
      // The first octets are there before the client has sent anything.
      const over = scriptedConn(all.slice(0, at), all.slice(at));
      const read = over.read;
      const chunks = overridden(over, {
        async read() {
          for (;;) {
            const chunk = await read();
            if (chunk === null || chunk.length > 0) return chunk;
          }
        },
      });
      const { connecting } = await attempt(dialogue, chunks);
      const tunnel = await connecting;
      assertEquals(await readExactly(tunnel, early.length), early);
      const asked = exchanges.map(([sends]) => octets(sends));
      assertEquals(join(...over.sent), join(...asked));
      tunnel.close();
    }
  });

  test(`connect() rejects with proxy-closed when a server of ${name} ends or resets at any octet`, async () => {
    let cut = 0;
    let resets = false;
    const server = await startTarget(async (peer) => {
      try {
        let from = 0;
        for (const [sends, answer] of exchanges) {
          await readExactly(peer, octets(sends).length);
          const chunk = answers.slice(from, from + octets(answer).length);
          from += chunk.length;
          const left = chunk.slice(0, Math.max(0, cut - from + chunk.length));
          if (left.length > 0) await peer.write(left);
          if (from > cut) break;
        }
      } catch {
        // The client has closed the connection.
      }
      if (resets) peer.reset();
      else peer.close();
    });
    const url = new URL(dialogue.proxy);
    url.port = String(server.addr.port);
    for (cut = 0; cut < answers.length; cut++) {
      const phase = phaseAfter(dialogue, answers.slice(0, cut));
      for (resets of [false, true]) {
        const connecting = connect(url, TARGET, dialogue.options);
        const error = await assertRejects(() => connecting, SocksError);
        assertEquals(error.code, "proxy-closed", error.message);
        // A reset may overtake what was sent before it.
        if (!resets) assertEquals(error.phase, phase, `octet ${cut}`);
      }
    }
    await server.close();
  });
}

const GARBAGE = new Uint8Array(300).fill(0xee);

test("connect() rejects with protocol when an HTTP proxy sends a header without an end", async () => {
  const [dialogue] = dialogues.filter((it) => it.name === "HTTP");
  const sent = join(octets('"HTTP/1.1 200 OK" 0D 0A'), octets("17000*61"));
  let at = 0;
  const over = conn(octets(""), () => {
    const chunk = sent.slice(at, ++at);
    return Promise.resolve(chunk);
  });
  const { proxy, options } = dialogue;
  const connecting = connect(proxy, TARGET, { ...options, conn: over });
  const error = await assertRejects(() => connecting, SocksError);
  assertEquals([error.code, error.phase], ["protocol", "request"]);
  assertEquals(at, 16 * 1024);
});

test("1,000 dials that are aborted at random moments leave nothing open", async () => {
  const server = await startServer({ http: true });
  const target = await startTarget(echo);
  const { port } = server.server.addr;
  const next = random(15);
  let listeners = 0;
  const before = openSockets() ?? 0;
  const outcomes: Record<string, number> = {};
  const dial = async () => {
    const scheme = ["socks4a", "socks5", "socks5h", "http"][next(4)];
    const controller = new AbortController();
    const { signal } = controller;
    const count = countListeners(signal);
    const url = `${scheme}://127.0.0.1:${port}`;
    const connecting = connect(url, target.addr, { signal });
    const settling = connecting.then((tunnel) => {
      tunnel.close();
      return "connected";
    }, (error) => error.code as string);
    for (let turns = next(40); turns > 0; turns--) await undefined;
    const delay = next(12);
    if (delay > 2) {
      await new Promise((resolve) => setTimeout(resolve, delay - 3));
    }
    controller.abort();
    const code = await settling;
    listeners += count();
    outcomes[code] = (outcomes[code] ?? 0) + 1;
  };
  for (let i = 0; i < 50; i++) {
    await Promise.all(Array.from({ length: 20 }, dial));
  }
  assertEquals(listeners, 0);
  const { aborted, connected = 0 } = outcomes;
  assertEquals(aborted + connected, 1_000, JSON.stringify(outcomes));
  for (const peer of target.conns) peer.close();
  await until(() => (openSockets() ?? 0) <= before);
  await settled();
  await target.close();
  await server.close();
});
