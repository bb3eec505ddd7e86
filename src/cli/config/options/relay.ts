/**
 * Options of BIND, UDP ASSOCIATE and look-ups.
 *
 * @module
 */

import { toggle } from "../kinds.ts";
import { portRange, reachableAddresses } from "../server_kinds.ts";
import { option, type OptionTable } from "../option.ts";

/** The options, by their keys in a configuration file. */
export const RELAY = {
  advertise: option(reachableAddresses(), {
    flag: "--advertise ADDRESS",
    section: "relay",
    description:
      "IP addresses sent to clients for BIND and UDP ASSOCIATE, at most one of " +
      "each IP version",
    help:
      "IP address sent to clients, for a server behind NAT or in a container; " +
      "may be repeated, once for each IP version",
  }),
  relayPorts: option(portRange(), {
    flag: "--relay-ports FIRST-LAST",
    section: "relay",
    description:
      "Ports to listen on for BIND and UDP ASSOCIATE, such as those that a " +
      "firewall lets in; by default any free port",
  }),
  dropFragments: option(toggle(), {
    flag: "--drop-fragments",
    section: "relay",
    default: false,
    description: "Drop UDP fragments instead of reassembling them",
  }),
  resolve: option(toggle(), {
    flag: "--resolve",
    section: "relay",
    default: false,
    description:
      "Answer look-ups of names and addresses (Tor's RESOLVE and RESOLVE_PTR), " +
      "which torsocks needs",
  }),
} satisfies OptionTable;
