/**
 * The plot of the throughput.
 *
 * @module
 */

import type { Browser, PageElement } from "./browser.ts";
import type { Elements } from "./elements.ts";
import type { Formats } from "./formats.ts";

/** The time, the sessions, and the bytes of the interval before, in both directions. */
export type Sample = readonly [
  time: number,
  sessions: number,
  sent: number,
  received: number,
];

/** A plot over ten minutes. */
export interface Plot {
  /** Draws the samples of an interval, in milliseconds. */
  update(samples: readonly Sample[], interval: number): void;
}

/** Part of the page's script: must not refer to anything outside. */
export function plot(
  browser: Browser,
  { get, draw, setText, setAttribute }: Elements,
  { bytes, rate, ticks, count }: Formats,
): Plot {
  const span = 600_000;
  const height = 220;
  const margin = { left: 78, right: 12, top: 10, bottom: 26 };
  const bottom = height - margin.bottom;
  const [picture, readout] = [get("plot"), get("readout")];
  const axes = draw("g", { class: "axes" });
  const cursor = draw("line", { class: "cursor", y1: margin.top, y2: bottom });
  const lines = ["sent", "received"].map((it) => draw("path", { class: it }));
  picture.append(axes, ...lines, cursor);

  let samples: readonly Sample[] = [];
  let perSecond = 1;
  let width = 0;
  let drawn = "";
  /** Where the pointer is, in pixels from the left side. */
  let pointer: number | undefined;

  const end = () => samples.at(-1)?.[0] ?? 0;
  const xOf = (time: number) =>
    width - margin.right -
    (end() - time) / span * (width - margin.left - margin.right);
  const yOf = (value: number, top: number) =>
    bottom - value / top * (bottom - margin.top);

  function label(x: number, y: number, anchor: string, text: string) {
    return draw("text", { x, y, "text-anchor": anchor }, text);
  }

  /** `1.00 MB/s` as `1 MB/s`. */
  function short(value: number): string {
    const text = bytes(value).replace(/\.0+(?= )|(\.\d*[1-9])0+(?= )/, "$1");
    return `${text}/s`;
  }

  function drawAxes(values: readonly number[]): void {
    const key = [width, ...values].join();
    if (key === drawn) return;
    drawn = key;
    const top = values[values.length - 1];
    const rows = values.flatMap((value) => {
      const y = yOf(value, top);
      const place = { x1: margin.left, x2: width - margin.right, y1: y, y2: y };
      return [
        draw("line", place),
        label(margin.left - 8, y + 4, "end", value === 0 ? "0" : short(value)),
      ];
    });
    const step = width < 480 ? 5 : 2;
    const minutes = [0, 2, 4, 5, 6, 8, 10].filter((it) => it % step === 0);
    const columns = minutes.flatMap((minute) => {
      const x = xOf(end() - minute * 60_000);
      const anchor = minute === 0 ? "end" : "middle";
      return [
        draw("line", { x1: x, x2: x, y1: bottom, y2: bottom + 4 }),
        label(x, height - 6, anchor, minute ? `−${minute} min` : "now"),
      ];
    });
    axes.replaceChildren(...rows, ...columns);
  }

  /** Means of so many samples that a dash is as long as it looks: three pixels or more. */
  function means(interval: number): Sample[] {
    const perPixel = span / (width - margin.left - margin.right);
    const length = Math.ceil(3 * perPixel / interval) * interval;
    const groups = new Map<number, Sample[]>();
    for (const sample of samples) {
      const group = Math.floor(sample[0] / length);
      const members = groups.get(group);
      if (members) members.push(sample);
      else groups.set(group, [sample]);
    }
    return [...groups.values()].map((group) => {
      const mean = (i: 0 | 1 | 2 | 3) =>
        group.reduce((sum, it) => sum + it[i], 0) / group.length;
      return [mean(0), mean(1), mean(2), mean(3)];
    });
  }

  /** A line, with a gap where no samples were taken. */
  function pathOf(
    points: readonly Sample[],
    column: 2 | 3,
    top: number,
  ): string {
    let before = -Infinity;
    const longest = 5_000 + 2 * span / (points.length + 1);
    return points.map((point) => {
      const command = point[0] - before > longest ? "M" : "L";
      before = point[0];
      const y = yOf(point[column] * perSecond, top);
      return `${command}${xOf(before).toFixed(1)} ${y.toFixed(1)}`;
    }).join("");
  }

  function ratesText(sent: number, received: number): string {
    const rates = [sent, received].map((it) => rate(it * perSecond));
    return `sent ${rates[0]}, received ${rates[1]}`;
  }

  function nearest(x: number): Sample | undefined {
    let found: Sample | undefined;
    for (const sample of samples) {
      const distance = Math.abs(xOf(sample[0]) - x);
      if (found && distance > Math.abs(xOf(found[0]) - x)) break;
      found = sample;
    }
    return found;
  }

  function showPointed(): void {
    const sample = pointer === undefined ? undefined : nearest(pointer);
    setAttribute(cursor, "visibility", sample ? "visible" : "hidden");
    if (!sample) return setText(readout, highest());
    const [time, sessions, sent, received] = sample;
    const x = xOf(time).toFixed(1);
    setAttribute(cursor, "x1", x);
    setAttribute(cursor, "x2", x);
    const ago = `${Math.round((end() - time) / 1000)} s ago`;
    const open = `${count(sessions)} ${
      sessions === 1 ? "session" : "sessions"
    }`;
    setText(readout, `${ago}: ${ratesText(sent, received)}, ${open}`);
  }

  function highest(): string {
    if (samples.length === 0) return "";
    const most = (i: 2 | 3) => Math.max(...samples.map((it) => it[i]));
    return `Highest: ${ratesText(most(2), most(3))}`;
  }

  function redraw(): void {
    width = picture.clientWidth;
    if (width === 0) return; // hidden
    setAttribute(picture, "viewBox", `0 0 ${width} ${height}`);
    const rates = samples.flatMap(([, , ...it]) => it);
    const values = ticks(Math.max(1000, ...rates) * perSecond);
    drawAxes(values);
    const top = values[values.length - 1];
    const points = means(1000 / perSecond);
    lines.forEach((line, i) => {
      setAttribute(line, "d", pathOf(points, i === 0 ? 2 : 3, top));
    });
    const text = `Throughput over ten minutes. ${highest()}`;
    setAttribute(picture, "aria-label", text);
    showPointed();
  }

  function point(element: PageElement, x: number | undefined): void {
    pointer = x && x - element.getBoundingClientRect().left;
    showPointed();
  }

  picture.addEventListener("pointermove", ({ clientX }) => {
    point(picture, clientX);
  });
  picture.addEventListener("pointerleave", () => point(picture, undefined));
  browser.addEventListener("resize", redraw);
  return {
    update(values, interval) {
      samples = values;
      perSecond = 1000 / interval;
      redraw();
    },
  };
}
