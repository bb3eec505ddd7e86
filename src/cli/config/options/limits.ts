/**
 * Options of limits, and of those that several machines share.
 *
 * @module
 */

import type { Limits } from "../../../server/options.ts";
import { rate, toggle, whole } from "../kinds.ts";
import { redisUrl } from "../redis_kind.ts";
import { option, type OptionsOf, type OptionTable } from "../option.ts";

/** The options, by their keys in a configuration file. */
export const LIMITS = {
  limits: {
    section: "limits",
    description:
      "Limits; 0 for no limit. A client is an IPv4 address or an IPv6 /64.",
    options: {
      sessions: option(whole(), {
        flag: "--max-sessions N",
        alias: "max-connections",
        description:
          "Concurrent sessions; further clients are rejected (default 10000, or " +
          "fewer if the system allows fewer open files).",
      }),
      sessionsPerClient: option(whole(), {
        flag: "--max-sessions-per-client N",
        default: 0,
        description: "Concurrent sessions of a client",
      }),
      sessionsPerUser: option(whole(), {
        flag: "--max-sessions-per-user N",
        default: 0,
        description: "Concurrent sessions of a user",
      }),
      handshakesPerClient: option(whole(), {
        flag: "--max-handshakes-per-client N",
        description:
          "Connections of a client that have not completed their request (1000 " +
          "by default, and no limit for a server on loopback)",
      }),
      connectionsPerSecondPerClient: option(whole(), {
        flag: "--max-connections-per-second-per-client N",
        default: 0,
        description:
          "New connections of a client; a burst may have twice as many, or 10 if " +
          "that is more",
      }),
      bytesPerSecondPerSession: option(rate(), {
        flag: "--max-bytes-per-second-per-session RATE",
        default: 0,
        description: "Both directions of a session together",
      }),
      bytesPerSecondPerUser: option(rate(), {
        flag: "--max-bytes-per-second-per-user RATE",
        default: 0,
        description: "All sessions of a user together",
      }),
      associationsPerClient: option(whole(), {
        flag: "--max-associations-per-client N",
        default: 1000,
        description: "Concurrent UDP associations of a client",
      }),
      targetsPerAssociation: option(whole(), {
        flag: "--max-targets-per-association N",
        default: 256,
        description:
          "Targets that a UDP association remembers, and accepts datagrams from",
      }),
    } satisfies OptionsOf<Limits>,
  },
  shared: option(redisUrl(), {
    flag: "--shared URL",
    section: "limits",
    needsRestart: true,
    usedBy: "program",
    description:
      "Redis or Valkey that counts for several machines: sessions and bytes of users, and " +
      "failed logins. redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], rediss:// for TLS, or " +
      "unix:/PATH. If it is not reachable, each machine counts for itself.",
    help:
      "Redis or Valkey that counts for several machines: sessions and bytes of users, and " +
      "failed logins. redis://HOST[:PORT], rediss:// for TLS, or unix:/PATH. If it is not " +
      "reachable, each machine counts for itself. Node.js needs the package redis, Deno " +
      "--allow-env. A password in the URL is visible in the process list: prefer the file.",
  }),
  sharedStrict: option(toggle(), {
    flag: "--shared-strict",
    section: "limits",
    default: false,
    needsRestart: true,
    usedBy: "program",
    description:
      "Refuse logins with such limits while Redis is not reachable, and do not start then",
  }),
  sharedClients: option(toggle(), {
    flag: "--shared-clients",
    section: "limits",
    default: false,
    needsRestart: true,
    usedBy: "program",
    description:
      "Share also the sessions and the connections per second of a client, for a load " +
      "balancer that spreads a client over several machines",
  }),
} satisfies OptionTable;
