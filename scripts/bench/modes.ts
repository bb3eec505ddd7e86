/**
 * What is compared, and in which unit: always a cost, so less is better.
 *
 * @module
 */

/** A mode's name on the command line. */
export type Mode = LoadMode | "idle" | "start";

/** The modes in which a server's processor time is measured under load. */
export type LoadMode = "down" | "up" | "rr" | "conn" | "name" | "udp";

/** A mode, as tables and charts show it. */
export interface ModeInfo {
  title: string;
  unit: string;
  /** What is counted, times this, gives the unit. */
  per: number;
}

const MICROSECONDS = 1e6;

/** The modes, in the order of the columns. */
export const modes: Readonly<Record<Mode, ModeInfo>> = {
  down: { title: "download", unit: "s CPU per GB", per: 1e9 },
  up: { title: "upload", unit: "s CPU per GB", per: 1e9 },
  rr: {
    title: "64 B there and back",
    unit: "µs CPU each",
    per: MICROSECONDS,
  },
  conn: { title: "new connections", unit: "s CPU per 10,000", per: 1e4 },
  name: { title: "the same by name", unit: "s CPU per 10,000", per: 1e4 },
  idle: { title: "idle connection", unit: "KiB of memory each", per: 1 / 1024 },
  udp: {
    title: "512 B by UDP, there and back",
    unit: "µs CPU each",
    per: MICROSECONDS,
  },
  start: { title: "start", unit: "ms until it listens", per: 1 },
};

/** All modes, in the order of the columns. */
export const modeNames = Object.keys(modes) as Mode[];

/** Whether it is measured while a load runs. */
export function isLoadMode(mode: Mode): mode is LoadMode {
  return mode !== "idle" && mode !== "start";
}
