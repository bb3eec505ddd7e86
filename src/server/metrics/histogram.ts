/**
 * Histograms of durations, as Prometheus counts them.
 *
 * @module
 */

/** The upper bounds of the buckets, in seconds. */
const BOUNDS: readonly number[] = [
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10,
  30,
];

/** The labels `le` of all buckets. */
const BUCKETS: readonly string[] = [...BOUNDS.map(String), "+Inf"];

/** How many durations were at most so long. */
export class Histogram {
  /** How many durations are in each bucket, and in no smaller one. */
  readonly #counts = BUCKETS.map(() => 0);
  #sum = 0;

  /** Counts a duration, in milliseconds. */
  observe(duration: number): void {
    const seconds = duration / 1000;
    const index = BOUNDS.findIndex((bound) => seconds <= bound);
    this.#counts[index < 0 ? BOUNDS.length : index]++;
    this.#sum += seconds;
  }

  /** How many durations were at most as long as the bound of each bucket. */
  get buckets(): readonly (readonly [le: string, count: number])[] {
    let count = 0;
    return BUCKETS.map((le, index) => [le, count += this.#counts[index]]);
  }

  /** The sum of all durations, in seconds. */
  get sum(): number {
    return this.#sum;
  }
}
