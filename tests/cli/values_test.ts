import { assert, assertEquals, assertThrows } from "@std/assert";
import { duration, type Kind, rate } from "../../src/cli/config/kinds.ts";
import { parseDuration } from "../../src/cli/config/parse_duration.ts";
import { formatDuration } from "../../src/cli/output/format_duration.ts";
import { UsageError } from "../../src/cli/usage_error.ts";
import { test } from "../support/harness.ts";

const [second, minute, hour, day] = [1_000, 60_000, 3_600_000, 86_400_000];

const durations: [text: string, milliseconds: number][] = [
  ["0", 0],
  ["00", 0],
  ["0s", 0],
  ["500ms", 500],
  ["90s", 90 * second],
  ["5m", 5 * minute],
  ["1h30m", 90 * minute],
  ["1h90m", 150 * minute],
  ["1d", day],
  ["1d12h", 36 * hour],
  ["1d2h3m4s5ms", day + 2 * hour + 3 * minute + 4 * second + 5],
  ["1m5ms", minute + 5],
  ["2m05s", 125 * second],
  ["1.5s", 1_500],
  ["2.3s", 2_300],
  ["1.5h", 90 * minute],
  ["0.5d", 12 * hour],
  ["0.001s", 1],
  ["24d", 24 * day],
  ["2147483647ms", 2 ** 31 - 1],
];

const noDurations: [text: string, message: RegExp][] = [
  ["", /must be a duration/],
  ["5", /has no unit: write 5s for seconds, 5ms/],
  ["s", /must be a duration/],
  ["5 m", /must be a duration such as 500ms, 10s, 1h30m, 1d or 0, not "5 m"$/],
  ["5min", /must be a duration/],
  ["5M", /must be a duration/],
  ["1D", /must be a duration/],
  ["1w", /must be a duration/],
  ["1y", /must be a duration/],
  ["-5s", /must be a duration/],
  ["+5s", /must be a duration/],
  ["1e3s", /must be a duration/],
  ["30m1h", /must be a duration/],
  ["5s5s", /must be a duration/],
  ["1h30", /must be a duration/],
  ["1.5h30m", /must be a duration/],
  ["1h1.5m", /must be a duration/],
  [".5s", /must be a duration/],
  ["1.s", /must be a duration/],
  ["1,5s", /must be a duration/],
  ["1.5ms", /must be a duration/],
  ["0.0001s", /must be a duration/],
  ["0.0000000001s", /must be a duration/],
  ["Infinitys", /must be a duration/],
  ["25d", /25d is too long: at most 24d, or 0 for no limit$/],
  ["597h", /is too long/],
  ["24d20h32m", /is too long/],
  [`${"9".repeat(400)}s`, /is too long/],
];

const rates: [text: string, bytes: number][] = [
  ["0", 0],
  ["1", 1],
  ["500", 500],
  ["500B", 500],
  ["500k", 500_000],
  ["500K", 500_000],
  ["500kB", 500_000],
  ["500KB", 500_000],
  ["10M", 10_000_000],
  ["10MB", 10_000_000],
  ["10MB/s", 10_000_000],
  ["1.5G", 1_500_000_000],
  ["1.5GB", 1_500_000_000],
  ["2G", 2_000_000_000],
  ["1Ki", 1_024],
  ["1KiB", 1_024],
  ["1kiB", 1_024],
  ["10MiB", 10_485_760],
  ["10Mi/s", 10_485_760],
  ["1.5GiB", 1_610_612_736],
  ["1.0005k", 1_001],
  ["0.4k", 400],
  ["0.0k", 0],
];

const noRates = [
  ..."|k|B|10m|10mb|10Mb|10Mbit|10Mbps|10Mb/s|10g|10 M|10M B|10MBB|-1|1e6|.5M"
    .split("|"),
  ..."0.4|0.0001k|1.M|1,5M|10T|10TB|10i|10iB|10Bi|10MB/min|3G|2GiB|2147483648|0x10"
    .split(
      "|",
    ),
];

/** The problems of a value of a file, and the value. */
function read<T>(kind: Kind<T>, text: string) {
  const problems: string[] = [];
  const value = kind.read(text, { path: "key", problems });
  return { value, problems };
}

function patternOf({ schema }: Kind<number>): RegExp {
  const [, { pattern }] = schema.anyOf as [unknown, { pattern: string }];
  return new RegExp(pattern);
}

for (const [text, expected] of durations) {
  test(`duration() reads ${text} as ${expected} ms, in flags and in files`, () => {
    const kind = duration();
    assertEquals(kind.parse(text, "--flag"), expected);
    assertEquals(read(kind, text), { value: expected, problems: [] });
    assert(patternOf(kind).test(text));
  });
}

for (const [text, message] of noDurations) {
  const shown = text.slice(0, 20);
  test(`duration() refuses ${shown} in flags and in files: ${message}`, () => {
    const kind = duration();
    const error = assertThrows(() => kind.parse(text, "--flag"), UsageError);
    assert(message.test(error.message), error.message);
    const { value, problems } = read(kind, text);
    assertEquals(value, undefined);
    assertEquals(problems, [error.message.replace("--flag", "key:")]);
  });
}

for (const [text, expected] of rates) {
  test(`rate() reads ${text} as ${expected} bytes per second, in flags and in files`, () => {
    const kind = rate();
    assertEquals(kind.parse(text, "--flag"), expected);
    assertEquals(read(kind, text), { value: expected, problems: [] });
    assert(patternOf(kind).test(text));
  });
}

for (const text of noRates) {
  test(`rate() refuses "${text}" in flags and in files, and says what is accepted`, () => {
    const kind = rate();
    const error = assertThrows(() => kind.parse(text, "--flag"), UsageError);
    const form = "--flag must be bytes (not bits) per second such as 500k, " +
      "10MB or 10MiB, at most 2G, or 0, not ";
    assertEquals(error.message.indexOf(form), 0);
    assertEquals(read(kind, text).problems.length, 1);
  });
}

/** The precision of `formatDuration()`. */
function precisionOf(milliseconds: number): number {
  if (milliseconds < second) return 1;
  if (milliseconds < minute) return 100;
  return milliseconds < hour ? second : minute;
}

test("parseDuration() reads what formatDuration() writes", () => {
  const values = [0, 1, 999, 1_000, 59_999, minute, hour - 1, hour, 25 * hour];
  for (let ms = 1; ms < 24 * day; ms = Math.ceil(ms * 1.07)) values.push(ms);
  for (const ms of values) {
    const text = formatDuration(ms);
    const back = parseDuration("--flag", text);
    const lost = ms - back;
    assert(lost >= 0 && lost < precisionOf(ms), `${ms}: ${text} is ${back}`);
    assertEquals(formatDuration(back), text);
  }
});
