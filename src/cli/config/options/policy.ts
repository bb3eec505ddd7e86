/**
 * Options of access rules, and of the addresses that they choose among.
 *
 * @module
 */

import type { EgressOptions } from "../../../server/egress/egress_options.ts";
import { duration, list } from "../kinds.ts";
import { rule } from "../server_kinds.ts";
import { option, type OptionsOf, type OptionTable } from "../option.ts";

/** The options, by their keys in a configuration file. */
export const POLICY = {
  rules: option(list(rule()), {
    section: "rules",
    isMerged: true,
    usedBy: "load",
    description:
      "Access rules. The first rule that matches decides, for example: " +
      "allow user alice connect *.example.com:443",
    givenBy: [
      {
        flag: "--allow RULE",
        brief: "Allow only these requests: 'user bob *:443'",
        isRepeatable: true,
        description:
          "Allow matching requests; may be repeated. If there is any, requests " +
          "that match no rule are denied.",
      },
      {
        flag: "--deny RULE",
        brief: "Deny these requests; the first rule decides",
        isRepeatable: true,
        description:
          "Deny matching requests; may be repeated. The first rule that matches " +
          "decides, in the order of the command line.",
      },
    ],
  }),
  egress: {
    section: "rules",
    description: "The choice among several addresses after via.",
    options: {
      sticky: option(duration(), {
        flag: "--egress-sticky DURATION",
        description:
          "How long a client (a user, with the session word if there is one, or an " +
          "address) keeps one of several addresses after via, by the clock; 0 for " +
          "another one for each session; by default until the restart",
      }),
    } satisfies OptionsOf<Pick<EgressOptions, "sticky">>,
  },
} satisfies OptionTable;
