/**
 * The README for the readers of one place: this repository, npm or JSR.
 *
 * @module
 */

/** A place where the README is read. */
export type Reader = "repository" | "npm" | "jsr";

/** Names the readers of the text after it, up to the next mark. */
const MARK = /^<!-- for: ([a-z, ]+) -->\n\n?/gm;

/** Says which part `task bench --readme` replaces, which only matters in the repository. */
const BENCH_MARK = /^<!-- bench: .* -->\n\n?/gm;

/** A picture, alone in a paragraph. */
const PICTURE = /^!\[[^\]]*\]\([^)]*\)\n\n/gm;

/** Returns the README without the parts for other readers. */
export function readmeFor(reader: Reader, text: string): string {
  let rest = "";
  let isFor = true;
  let at = 0;
  for (const mark of [...text.matchAll(MARK), undefined]) {
    if (isFor) rest += text.slice(at, mark?.index);
    if (mark === undefined) break;
    const readers = mark[1].split(", ");
    isFor = readers.includes("all") || readers.includes(reader);
    at = mark.index + mark[0].length;
  }
  if (reader === "repository") return rest;
  return rest.replaceAll(BENCH_MARK, "").replaceAll(
    PICTURE,
    // The npm package has a copy in its folder, JSR has none.
    (picture) => reader === "npm" ? picture.replace(/[^(]*\//, "") : "",
  );
}
