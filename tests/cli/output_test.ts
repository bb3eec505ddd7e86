import { assert, assertEquals } from "@std/assert";
import {
  Output,
  type OutputOptions,
} from "../../src/cli/output/line_writer.ts";
import { test } from "../support/harness.ts";

/** An output that keeps what it is given; `release()` ends the write that goes on. */
function recorder(options: Partial<OutputOptions> = {}) {
  const texts: string[] = [];
  let release = () => {};
  let onWrite = () => {};
  const output = new Output({
    write(text) {
      texts.push(text);
      onWrite();
      return new Promise((resolve) => release = resolve);
    },
    tellDropped: (lines) => `${lines} dropped`,
    gather: 0,
    ...options,
  });
  const written = (count: number) =>
    new Promise<void>((resolve) => {
      onWrite = () => texts.length >= count && resolve();
      onWrite();
    });
  return { output, texts, written, release: () => release() };
}

test("Output writes the lines of one moment at once, by itself", async () => {
  const { output, texts, written, release } = recorder();
  for (const line of ["a", "b", "c"]) output.print(line);
  assertEquals(texts, []);
  await written(1);
  assertEquals(texts, ["a\nb\nc\n"]);
  release();
  await output.flush();
  output.print("d");
  await written(2);
  assertEquals(texts[1], "d\n");
  release();
});

test("Output writes one text at a time, and what came meanwhile next", async () => {
  const { output, texts, written, release } = recorder({ gather: 1e6 });
  output.print("a");
  const flushed = output.flush();
  output.print("b");
  output.print("c");
  void output.flush();
  assertEquals(texts, ["a\n"]);
  release();
  await written(2);
  assertEquals(texts[1], "b\nc\n");
  release();
  await flushed;
});

test("Output writes a line at once that someone waits for, behind those before it", async () => {
  const { output, texts, release } = recorder({ gather: 1e6 });
  output.print("a");
  output.printNow("b");
  assertEquals(texts, ["a\nb\n"]);
  release();
  await output.flush();
});

test("Output does not gather more than it takes to fill a pipe", async () => {
  const { output, texts, release } = recorder({ gather: 1e6 });
  output.print("x".repeat(65_535));
  assertEquals(texts.length, 1);
  release();
  await output.flush();
});

test("Output drops lines when too much waits, and says so where they are missing", async () => {
  const { output, texts, written, release } = recorder({ limit: 8 });
  output.print("aa");
  await written(1);
  output.print("bb");
  output.print("too long");
  output.print("c"); // would fit, but not behind one that is missing
  release();
  await written(2);
  assertEquals(texts, ["aa\n", "bb\n2 dropped\n"]);
  release();
  await output.flush();
  output.print("d");
  await written(3);
  assertEquals(texts[2], "d\n");
  release();
});

test("Output tells of a line that is longer than all that may wait", async () => {
  const { output, texts, written, release } = recorder({ limit: 4 });
  output.print("longer");
  await written(1);
  assertEquals(texts, ["1 dropped\n"]);
  release();
  await output.flush();
});

test("Output.finish() gives up on a reader that has stopped", async () => {
  const { output, texts, release } = recorder({ gather: 1e6 });
  output.print("a");
  await output.finish(1);
  assertEquals(texts, ["a\n"]);
  release();
  await output.flush();
});

test("Output.finish() waits for no more than the last line", async () => {
  const { output, texts } = recorder({
    write: (text) => Promise.resolve(void texts.push(text)),
    gather: 1e6,
  });
  output.print("a");
  await output.finish(2 ** 31 - 1);
  assert(texts.length === 1);
});
