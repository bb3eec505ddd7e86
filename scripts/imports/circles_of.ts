/**
 * Finds modules that import each other in a circle.
 *
 * @module
 */

import { importsOf, targetOf } from "./imports_of.ts";

/**
 * The circles among modules, given as paths and texts. Each circle lists its
 * modules in the order in which they import each other, and begins with the
 * first in the order of their names. Of all circles through a module, only a
 * shortest one is found.
 */
export function circlesOf(modules: ReadonlyMap<string, string>): string[][] {
  const graph = new Map<string, string[]>();
  for (const [path, text] of modules) {
    const targets = importsOf(text).map((it) => targetOf(path, it.specifier));
    graph.set(path, targets.filter((it) => it !== undefined).sort());
  }
  const found = new Map<string, string[]>();
  for (const start of [...modules.keys()].sort()) {
    const circle = shortestCircle(graph, start);
    if (circle === undefined) continue;
    const first = circle.indexOf([...circle].sort()[0]);
    const ordered = [...circle.slice(first), ...circle.slice(0, first)];
    found.set(ordered.join(" "), ordered);
  }
  return [...found.values()];
}

/** Breadth first from a module back to itself. */
function shortestCircle(
  graph: ReadonlyMap<string, string[]>,
  start: string,
): string[] | undefined {
  const importers = new Map<string, string>();
  const queue = [start];
  for (const module of queue) {
    for (const target of graph.get(module) ?? []) {
      if (target === start) {
        const circle = [module];
        while (circle[0] !== start) circle.unshift(importers.get(circle[0])!);
        return circle;
      }
      if (importers.has(target)) continue;
      importers.set(target, module);
      queue.push(target);
    }
  }
  return undefined;
}
