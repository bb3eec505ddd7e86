/**
 * Options of the waits of sessions and of a shutdown.
 *
 * @module
 */

import type { Timeouts } from "../../../server/options.ts";
import { duration } from "../kinds.ts";
import { option, type OptionsOf, type OptionTable } from "../option.ts";

/** The options, by their keys in a configuration file. */
export const TIMEOUTS = {
  timeouts: {
    section: "timeouts",
    description:
      'Timeouts: durations such as "500ms", "10s", "1h30m" and "1d", or 0 for no limit.',
    options: {
      handshake: option(duration(), {
        flag: "--handshake-timeout DURATION",
        default: "10s",
        description: "For a client to complete its request",
      }),
      connect: option(duration(), {
        flag: "--connect-timeout DURATION",
        default: "15s",
        description: "To connect to a target, or to resolve a name",
      }),
      idle: option(duration(), {
        flag: "--idle-timeout DURATION",
        default: "5m",
        description: "Without traffic in either direction",
      }),
      halfClosed: option(duration(), {
        flag: "--half-closed-timeout DURATION",
        default: "1m",
        description: "Without traffic after one side has finished sending",
      }),
      bind: option(duration(), {
        flag: "--bind-timeout DURATION",
        default: "1m",
        description: "For the peer of a BIND to connect",
      }),
      association: option(duration(), {
        flag: "--association-timeout DURATION",
        default: "5m",
        description: "Without a datagram in a UDP association",
      }),
    } satisfies OptionsOf<Timeouts>,
  },
  drainDelay: option(duration(), {
    flag: "--drain-delay DURATION",
    section: "timeouts",
    default: "0",
    usedBy: "program",
    description:
      "For load balancers to notice a shutdown: after a signal, new clients are still " +
      "accepted for this time, while /health answers 503 (10s suits HAProxy's defaults)",
  }),
  grace: option(duration(), {
    flag: "--grace DURATION",
    section: "timeouts",
    default: "10s",
    usedBy: "program",
    description:
      "For sessions to end after a signal and the drain delay; 0 to close them " +
      "immediately",
  }),
} satisfies OptionTable;
