import { assert, assertEquals } from "@std/assert";
import { wilcoxon } from "../../scripts/login_timing.ts";
import { test } from "../support/harness.ts";

const rows: [differences: number[], z: number][] = [
  // Calculated by hand: ranks 1 to 10; the expected sum is 27.5, the variance 96.25.
  [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 2.803],
  [[-1, -2, -3, -4, -5, -6, -7, -8, -9, -10], -2.803],
  [[1, -2, 3, -4, 5, -6, 7, -8, 9, -10], -0.255],
  // Equal values share their mean rank; 0 is ignored.
  [[5, 5, -5, -5, 0, 0], 0],
  [[3, 1, -1, 3, 3, 0], 1.618],
];

for (const [differences, z] of rows) {
  test(`wilcoxon() returns ${z} when it gets ${differences.join()}`, () => {
    assertEquals(Math.round(wilcoxon(differences) * 1_000) / 1_000, z);
  });
}

test("wilcoxon() detects a small shift of pairs that vary together", () => {
  // Reproducible noise.
  let seed = 1;
  const noise = () => (seed = seed * 16_807 % 2_147_483_647) / 2_147_483_647;
  const differences = Array.from({ length: 1_000 }, () => noise() - noise());
  assert(Math.abs(wilcoxon(differences)) < 3);
  assert(wilcoxon(differences.map((it) => it + 0.1)) > 5);
});
