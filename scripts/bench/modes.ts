/**
 * The modes of the comparison and their units: always a cost, so less is better.
 *
 * @module
 */

/** The name of a mode on the command line. */
export type Mode = LoadMode | "idle" | "start";

/** The modes that measure processor time under load. */
export type LoadMode = "down" | "up" | "rr" | "conn" | "name" | "udp";

/** The presentation of a mode in tables and charts. */
export interface ModeInfo {
  title: string;
  unit: string;
  /** The factor that converts the cost of one operation to the unit. */
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

/** Whether the mode is measured under load. */
export function isLoadMode(mode: Mode): mode is LoadMode {
  return mode !== "idle" && mode !== "start";
}
