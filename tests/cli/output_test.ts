import { assert, assertEquals } from "@std/assert";
import { nodeHost, type NodeProcess } from "../../src/cli/host/node.ts";
import {
  LineWriter,
  type LineWriterOptions,
} from "../../src/cli/output/line_writer.ts";
import { test } from "../support/harness.ts";

/** A writer that records its texts; `release()` ends the write in progress. */
function recorder(options: Partial<LineWriterOptions> = {}) {
  const texts: string[] = [];
  let release = () => {};
  let onWrite = () => {};
  const writer = new LineWriter({
    write(text) {
      texts.push(text);
      onWrite();
      return new Promise((resolve) => release = resolve);
    },
    formatDropped: (lines) => `${lines} dropped`,
    delay: 0,
    ...options,
  });
  const written = (count: number) =>
    new Promise<void>((resolve) => {
      onWrite = () => texts.length >= count && resolve();
      onWrite();
    });
  return { writer, texts, written, release: () => release() };
}

test("LineWriter writes lines of the same moment with one write, after a delay", async () => {
  const { writer, texts, written, release } = recorder();
  for (const line of ["a", "b", "c"]) writer.print(line);
  assertEquals(texts, []);
  await written(1);
  assertEquals(texts, ["a\nb\nc\n"]);
  release();
  await writer.flush();
  writer.print("d");
  await written(2);
  assertEquals(texts[1], "d\n");
  release();
});

test("LineWriter writes lines that arrive during a write with the next write", async () => {
  const { writer, texts, written, release } = recorder({ delay: 1e6 });
  writer.print("a");
  const flushed = writer.flush();
  writer.print("b");
  writer.print("c");
  void writer.flush();
  assertEquals(texts, ["a\n"]);
  release();
  await written(2);
  assertEquals(texts[1], "b\nc\n");
  release();
  await flushed;
});

test("LineWriter.printNow() writes a line immediately, after those before it", async () => {
  const { writer, texts, release } = recorder({ delay: 1e6 });
  writer.print("a");
  writer.printNow("b");
  assertEquals(texts, ["a\nb\n"]);
  release();
  await writer.flush();
});

test("LineWriter writes a line after it had none to write", async () => {
  const { writer, texts, release } = recorder({ delay: 1e6 });
  await writer.flush();
  await writer.finish();
  writer.printNow("a");
  assertEquals(texts, ["a\n"]);
  release();
  await writer.finish();
});

test("LineWriter writes immediately when the lines would fill a pipe", async () => {
  const { writer, texts, release } = recorder({ delay: 1e6 });
  writer.print("x".repeat(65_535));
  assertEquals(texts.length, 1);
  release();
  await writer.flush();
});

test("LineWriter drops lines over its limit, and reports them where they are missing", async () => {
  const { writer, texts, written, release } = recorder({ limit: 8 });
  writer.print("aa");
  await written(1);
  writer.print("bb");
  writer.print("too long");
  writer.print("c"); // fits, but must not come before the report
  release();
  await written(2);
  assertEquals(texts, ["aa\n", "bb\n2 dropped\n"]);
  release();
  await writer.flush();
  writer.print("d");
  await written(3);
  assertEquals(texts[2], "d\n");
  release();
});

test("LineWriter reports a line that is longer than its limit as dropped", async () => {
  const { writer, texts, written, release } = recorder({ limit: 4 });
  writer.print("longer");
  await written(1);
  assertEquals(texts, ["1 dropped\n"]);
  release();
  await writer.flush();
});

test("LineWriter.finish() does not wait longer than the timeout", async () => {
  const { writer, texts, release } = recorder({ delay: 1e6 });
  writer.print("a");
  await writer.finish(1);
  assertEquals(texts, ["a\n"]);
  release();
  await writer.flush();
});

test("LineWriter.finish() resolves when the last line is written", async () => {
  const { writer, texts } = recorder({
    write: (text) => Promise.resolve(void texts.push(text)),
    delay: 1e6,
  });
  writer.print("a");
  await writer.finish(2 ** 31 - 1);
  assert(texts.length === 1);
});

for (const isTTY of [true, false]) {
  const output = isTTY ? "terminal" : "pipe";
  test(`nodeHost().write() does not block on a ${output} that a worker has made blocking`, async () => {
    let isBlocking = true;
    const texts: string[] = [];
    const stdout = {
      isTTY,
      _handle: { setBlocking: (on: boolean) => void (isBlocking = on) },
      on: () => stdout,
      write(text: string, done: () => void) {
        if (!isBlocking) texts.push(text);
        done();
      },
    };
    const fake = { argv: [], env: {}, stdout } as unknown as NodeProcess;
    const { write } = nodeHost(fake);
    await write("a\n");
    isBlocking = true;
    await write("b\n");
    assertEquals(texts, ["a\n", "b\n"]);
  });
}
