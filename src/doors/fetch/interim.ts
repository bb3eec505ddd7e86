export type { Hops } from "../bridge/interim.ts";
export { createDialer, parseHops } from "../bridge/interim.ts";
