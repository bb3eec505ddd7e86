/** `socks5 connect` as a program. */

import { assertEquals, assertMatch } from "@std/assert";
import { runtime, test } from "../support/harness.ts";
import {
  closedPort,
  echo,
  startServer,
  startTarget,
} from "../support/server.ts";
import { type Program, runProgram, withProgram } from "../support/spawn.ts";
import { readExactly } from "../transport/contract.ts";
import type { Conn } from "../../src/transport/transport.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Runs `use` with a proxy and a target. */
async function withTarget(
  onConn: (conn: Conn) => unknown,
  use: (args: string[]) => Promise<void>,
): Promise<void> {
  const server = await startServer();
  const target = await startTarget(onConn);
  const { port } = server.server.addr;
  const url = `socks5h://127.0.0.1:${port}`;
  try {
    await use(["connect", url, `127.0.0.1:${target.addr.port}`]);
  } finally {
    await target.close();
    await server.close();
  }
}

async function readAll(conn: Conn): Promise<string> {
  let text = "";
  for (let c = await conn.read(); c; c = await conn.read()) {
    text += decoder.decode(c);
  }
  return text;
}

test("connect passes the end of its input on, and then prints the rest", async () => {
  const answer = async (conn: Conn) => {
    const all = await readAll(conn);
    await conn.write(encoder.encode(`got ${all}`));
    await conn.closeWrite();
  };
  await withTarget(answer, async (args) => {
    const ended = await runProgram(args, { input: "question" });
    assertEquals([ended.stdout, ended.stderr], ["got question", ""]);
    assertEquals(ended.code, 0);
  });
});

test("connect prints the target's end, while its input goes on", async () => {
  let late: Promise<string> | undefined;
  const endFirst = async (conn: Conn) => {
    await conn.write(encoder.encode("bye"));
    await conn.closeWrite();
    late = readAll(conn);
  };
  await withTarget(endFirst, async (args) => {
    await withProgram(args, async (program) => {
      await program.outputEnded;
      program.type("late");
      program.endInput();
      const { code, stdout, stderr } = await program.ended;
      assertEquals([code, stdout, stderr], [0, "bye", ""]);
      assertEquals(await late, "late");
    }, { keepsInput: true });
  });
}, {
  skip: runtime === "deno"
    ? "Deno cannot close its standard output: the command ends with the target"
    : undefined,
});

test(
  "connect ends with the target on Deno, even if its input goes on",
  async () => {
    const endFirst = async (conn: Conn) => {
      await conn.write(encoder.encode("bye"));
      await conn.closeWrite();
    };
    await withTarget(endFirst, async (args) => {
      await withProgram(args, async (program) => {
        const { code, stdout } = await program.ended;
        assertEquals([code, stdout], [0, "bye"]);
      }, { keepsInput: true });
    });
  },
  { skip: runtime === "deno" ? undefined : "the others keep the input open" },
);

const MIB = 1024 * 1024;

test("connect copies 8 MiB both ways", async () => {
  await withTarget(echo, async (args) => {
    const input = new Uint8Array(8 * MIB).map((_, i) => 97 + i % 26);
    const { code, stdout } = await runProgram(args, { input });
    assertEquals([code, stdout.length], [0, input.length]);
    assertEquals(stdout.slice(-64), decoder.decode(input.slice(-64)));
  });
});

test("connect copies its input while nothing reads its output", async () => {
  const size = 4 * MIB;
  let taken: Promise<Uint8Array> | undefined;
  const flood = (conn: Conn) => {
    taken = readExactly(conn, size);
    conn.write(new Uint8Array(size)).then(() => conn.closeWrite())
      .catch(() => {});
  };
  await withTarget(flood, async (args) => {
    await withProgram(args, async (program: Program) => {
      program.pauseOutput();
      program.type(new Uint8Array(size));
      while (!taken) await new Promise((resolve) => setTimeout(resolve, 10));
      assertEquals((await taken).length, size);
      program.endInput();
      program.resumeOutput();
      const { code, stdout } = await program.ended;
      assertEquals([code, stdout.length], [0, size]);
    }, { keepsInput: true });
  });
});

test("connect ends with 1 when nothing reads its output any more", async () => {
  const flood = async (conn: Conn) => {
    try {
      for (;;) await conn.write(new Uint8Array(65_536));
    } catch {
      conn.close();
    }
  };
  await withTarget(flood, async (args) => {
    await withProgram(args, async (program) => {
      program.closeOutput();
      assertEquals(await program.exited, 1);
    }, { keepsInput: true });
  });
});

test("connect takes the target as two arguments", async () => {
  await withTarget(echo, async ([command, url, target]) => {
    const [host, port] = target.split(":");
    const args = [command, url, host, port];
    const { code, stdout } = await runProgram(args, { input: "hello" });
    assertEquals([code, stdout], [0, "hello"]);
  });
});

test("connect ends with 1 and a reason when the target or the proxy is down", async () => {
  const port = await closedPort();
  await withTarget(echo, async ([command, url]) => {
    const down = `127.0.0.1:${port}`;
    const refused = await runProgram([command, url, down]);
    assertEquals([refused.code, refused.stdout], [1, ""]);
    assertMatch(refused.stderr, /^socks5 connect: .*connection refused\n$/);

    const proxy = `socks5h://al:secret@${down}`;
    const noProxy = await runProgram([command, proxy, "example.com:22"]);
    assertEquals([noProxy.code, noProxy.stdout], [1, ""]);
    assertMatch(
      noProxy.stderr,
      /^socks5 connect: the proxy cannot be reached .*\nsocks5 connect: nothing listens there: .*\n$/,
    );
    assertEquals(noProxy.stderr.includes("secret"), false);
  });
});
