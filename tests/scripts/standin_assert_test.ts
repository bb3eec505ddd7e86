import { assert, assertEquals, assertThrows } from "@std/assert";
import * as standin from "../../scripts/standins/assert.ts";
import { test } from "../support/harness.ts";

/** Values that lead to each other: described in full, two to the power of 40 of them. */
function graph(depth: number): object {
  let value = {};
  for (let i = 0; i < depth; i++) value = { one: value, other: value };
  return value;
}

test("the stand-in assertEquals() describes large values in part", () => {
  const large = { text: "x".repeat(1_000_000), graph: graph(40) };
  const { message } = assertThrows(
    () => standin.assertEquals<unknown>(large, 1),
    standin.AssertionError,
  );
  assert(message.length < 25_000, `${message.length} characters`);
});

test("the stand-in assertEquals() shows both values", () => {
  const { message } = assertThrows(
    () => standin.assertEquals({ a: [1] }, { a: [2] }, "why"),
    standin.AssertionError,
  );
  assertEquals(
    message,
    "Values are not equal.\nactual: { a: [ 1 ] }\nexpected: { a: [ 2 ] }: why",
  );
});
