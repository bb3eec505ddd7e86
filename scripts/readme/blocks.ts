/**
 * The programs and commands of a README.
 *
 * @module
 */

/** A block of code. */
export interface Block {
  /** Such as `ts`, `sh`, `jsonc`. */
  language: string;
  text: string;
}

/** Returns the blocks of code in a text in Markdown. */
export function codeBlocks(markdown: string): Block[] {
  return [...markdown.matchAll(/^```(\w+)\n([^]*?)^```$/gm)]
    .map(([, language, text]) => ({ language, text }));
}

/** A command, and the one with other tools that a comment names: `npx x # or: bunx x`. */
export interface Command {
  text: string;
  other?: string;
}

/** Returns the commands of a block, each of which may have several lines. */
export function commandsOf({ text }: Block): Command[] {
  const lines = text.replaceAll("\\\n", "").trimEnd().split("\n");
  return lines.map((line) => {
    const [command, other] = line.split(" # or: ");
    return { text: command, ...(other === undefined ? {} : { other }) };
  });
}
