/**
 * Draws the figures as an SVG with a small bar chart for each mode, legible on
 * light and dark pages.
 *
 * @module
 */

import { type Figures, format, type Subject, winners } from "./figures.ts";
import { type Mode, modes } from "./modes.ts";
import { measuredModes } from "./table.ts";

const COLUMNS = 2;
const PANEL = { width: 424, head: 46, gap: 16 };
const BAR = { left: 168, height: 13, step: 19, width: 196 };
const MARGIN = 18;

const STYLE = `
    text { font: 12px system-ui, sans-serif; fill: #1f2328 }
    .page { fill: #ffffff }
    .title { font-size: 14px; font-weight: 600 }
    .unit, .foot { fill: #59636e }
    .name, .unit { font-size: 11.5px }
    .best { font-weight: 700 }
    .peer { fill: #b6bec8 }
    .ours { fill: #1f6feb }
    .cut { stroke: #ffffff; stroke-width: 3 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .page { fill: #0d1117 }
      .unit, .foot { fill: #9198a1 }
      .peer { fill: #525b66 }
      .ours { fill: #4c9aff }
      .cut { stroke: #0d1117 }
    }
  `;

interface Bar {
  label: string;
  value: number;
  isOurs: boolean;
  isBest: boolean;
}

/** Returns the bars: ours on each runtime, and each peer on its best runtime. */
export function bars(
  figures: Figures,
  subjects: readonly Subject[],
  mode: Mode,
): Bar[] {
  const best = winners(figures, mode, subjects);
  const all = subjects.flatMap((subject) => {
    const value = figures.get(mode)?.get(subject.id);
    if (value === undefined) return [];
    const { id, isOurs } = subject;
    const isBest = best.includes(id);
    return [{ id, label: labelOf(subject), value, isOurs, isBest }];
  }).sort((a, b) => a.value - b.value);
  const seen = new Set<string>();
  return all.filter(({ id, isOurs }) => {
    const peer = id.split("@")[0];
    if (!isOurs && seen.has(peer)) return false;
    seen.add(peer);
    return true;
  });
}

function labelOf({ id, name, runtime, isOurs }: Subject): string {
  const short = isOurs ? name : id.split("@")[0];
  return runtime ? `${short}, ${runtime.replace(/\.\d+\.\d+$/, "")}` : short;
}

/**
 * Returns the value at the end of the axis. A bar that is far longer than all
 * others would make them invisible, so it is cut.
 */
export function axisEnd(values: readonly number[]): number {
  const [longest, second = longest] = values.toSorted((a, b) => b - a);
  return Math.min(longest, 1.5 * second);
}

/** Draws the charts; `foot` is the line below them. */
export function chart(
  figures: Figures,
  subjects: readonly Subject[],
  foot: string,
): string {
  const panels = measuredModes(figures).map((mode) => ({
    mode,
    bars: bars(figures, subjects, mode),
  }));
  const width = COLUMNS * PANEL.width + MARGIN;
  let top = MARGIN;
  const drawn: string[] = [];
  for (let i = 0; i < panels.length; i += COLUMNS) {
    const row = panels.slice(i, i + COLUMNS);
    drawn.push(
      ...row.map((it, column) =>
        panel(it.mode, it.bars, MARGIN + column * PANEL.width, top)
      ),
    );
    const most = Math.max(...row.map((it) => it.bars.length));
    top += PANEL.head + most * BAR.step + PANEL.gap;
  }
  const height = top + MARGIN;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="What SOCKS servers cost, by mode">
  <style>${STYLE}</style>
  <rect class="page" width="${width}" height="${height}" rx="6"/>
${drawn.join("\n")}
  <text class="foot" x="${MARGIN}" y="${height - MARGIN}">${escape(foot)}</text>
</svg>
`;
}

function panel(mode: Mode, bars: Bar[], x: number, y: number): string {
  const end = axisEnd(bars.map((it) => it.value));
  const { title, unit } = modes[mode];
  return [
    `  <g transform="translate(${x} ${y})">`,
    `    <text class="title" y="14">${escape(title)}</text>`,
    `    <text class="unit" y="31">${escape(unit)}, less is better</text>`,
    ...bars.map((bar, i) => drawBar(bar, PANEL.head + i * BAR.step, end)),
    `  </g>`,
  ].join("\n");
}

function drawBar(bar: Bar, y: number, end: number): string {
  const { label, value, isOurs, isBest } = bar;
  const width = Math.max(1, Math.min(1, value / end) * BAR.width);
  const baseline = y + BAR.height - 2.5;
  const weight = isBest ? " best" : "";
  const at = BAR.left + width;
  const cut = value > end
    ? `<path class="cut" d="M${at - 24} ${y + BAR.height + 1}l6 ${
      -BAR.height - 2
    }"/>`
    : "";
  return `    <text class="name${weight}" x="${
    BAR.left - 6
  }" y="${baseline}" text-anchor="end">${escape(label)}</text>` +
    `<rect class="${
      isOurs ? "ours" : "peer"
    }" x="${BAR.left}" y="${y}" width="${
      width.toFixed(1)
    }" height="${BAR.height}" rx="2"/>${cut}` +
    `<text class="name${weight}" x="${(at + 5).toFixed(1)}" y="${baseline}">${
      format(value)
    }</text>`;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
