/**
 * Options of logins: their verification, lockouts, and clients without a login.
 *
 * @module
 */

import { duration, list, oneOrMore, text, toggle, whole } from "../kinds.ts";
import { command, filePath, login, protectionLevels } from "../server_kinds.ts";
import { option, type OptionTable } from "../option.ts";

/** The options, by their keys in a configuration file. */
export const LOGIN = {
  usersFile: option(oneOrMore(filePath()), {
    flag: "--users-file FILE",
    brief: "Logins, one line of hash-password each",
    section: "login",
    isMerged: true,
    usedBy: "load",
    description:
      "Files of logins, one NAME:HASH per line, as printed by hash-password, and after a " +
      "space what the user may do: quota=50G/month until=2026-12-31 sessions=5 rate=10M " +
      "via=192.0.2.1. A relative path is relative to the folder of this file.",
    help:
      "File of logins, one NAME:HASH per line, as printed by hash-password, and after a " +
      "space what the user may do: quota=50G/month until=2026-12-31 sessions=5 rate=10M " +
      "via=192.0.2.1; may be repeated. If there is any login, clients without one are rejected, " +
      "SOCKS4 clients included unless their user ids are checked.",
  }),
  users: option(list(login(), { isSecret: true }), {
    section: "login",
    usedBy: "load",
    description:
      "Logins, each NAME:HASH, as printed by hash-password, or with attributes as in " +
      "usersFile",
    givenBy: [
      {
        flag: "SOCKS5_USERS",
        description:
          "Environment variable with logins, one NAME:PASSWORD per line",
      },
      {
        flag: "--user NAME:PASSWORD",
        brief: "A login; local users can see it",
        isRepeatable: true,
        description:
          "A login; may be repeated. Every user of this machine can read flags " +
          "in the process list: prefer a file or the variable.",
      },
    ],
  }),
  authCommand: option(command(), {
    flag: "--auth-command COMMAND",
    section: "login",
    usedBy: "load",
    description:
      "Program that verifies passwords in the protocol of Squid's basic-auth helpers, and " +
      "its arguments, such as /usr/lib/squid/basic_ncsa_auth /etc/socks5/htpasswd. No " +
      "shell reads them. In place of other passwords.",
    help:
      "Program that verifies passwords in the protocol of Squid's basic-auth helpers, and " +
      "its arguments, separated by spaces: '/usr/lib/squid/basic_ncsa_auth " +
      "/etc/socks5/htpasswd'. Deno needs --allow-run and --allow-env=NODE_V8_COVERAGE.",
  }),
  authProcesses: option(whole(1_000), {
    flag: "--auth-processes N",
    section: "login",
    usedBy: "load",
    description:
      "Maximum number of processes of the auth command, by default 5, for each worker; " +
      "each verifies one login at a time",
  }),
  authTimeout: option(duration(), {
    flag: "--auth-timeout DURATION",
    section: "login",
    usedBy: "load",
    description: "For an answer of the auth command, by default 10s",
  }),
  authRemember: option(duration(), {
    flag: "--auth-remember DURATION",
    section: "login",
    usedBy: "load",
    description:
      "For how long the auth command is not asked about a correct login again, by default " +
      "1m; 0 to ask each time",
  }),
  chapSecrets: option(filePath(), {
    flag: "--chap-secrets FILE",
    section: "login",
    usedBy: "load",
    description:
      "File of secrets for CHAP, which PuTTY uses, one NAME:SECRET per line. CHAP needs " +
      "the secrets in clear, so that only the owner may have access to the file (chmod " +
      "600). A password does not travel in clear then, but the traffic does. If every " +
      "user has a secret, CHAP is preferred to passwords, otherwise passwords to CHAP. " +
      "A relative path is relative to the folder of this file.",
    help:
      "File of secrets for CHAP, which PuTTY uses, one NAME:SECRET per line. CHAP needs " +
      "the secrets in clear, so that only the owner may have access to the file (chmod " +
      "600). If every user has a secret, CHAP is preferred to passwords, otherwise " +
      "passwords to CHAP.",
  }),
  gssapiKeytab: option(filePath(), {
    flag: "--gssapi-keytab FILE",
    section: "login",
    usedBy: "load",
    description:
      "Accept Kerberos logins (GSSAPI) by the keys in this file, such as that of " +
      "rcmd/proxy.example.org. The user is the principal: alice@EXAMPLE.ORG. Needs " +
      "MIT Kerberos; Deno needs --allow-ffi, Node.js the package koffi. A relative " +
      "path is relative to the folder of this file.",
    help:
      "Accept Kerberos logins (GSSAPI) by the keys in this file, such as that of " +
      "rcmd/proxy.example.org. The user is the principal: alice@EXAMPLE.ORG. Needs " +
      "MIT Kerberos; Deno needs --allow-ffi, Node.js the package koffi.",
  }),
  gssapiLevels: option(protectionLevels(), {
    flag: "--gssapi-levels LEVELS",
    section: "login",
    usedBy: "load",
    description:
      "Protection of Kerberos sessions, the preferred one first, by default 2,1: 2 " +
      "encrypts, 1 only signs, 0 does neither",
  }),
  gssapiNec: option(toggle(), {
    flag: "--gssapi-nec",
    section: "login",
    default: false,
    usedBy: "load",
    description:
      "Also accept a level that is not protected, as the clients of NEC send it. An " +
      "attacker on the network can then lower it to the lowest of the levels.",
  }),
  failedLogins: option(whole(), {
    flag: "--failed-logins N",
    section: "login",
    default: 10,
    usedBy: "load",
    description:
      "Consecutive failed logins that lock out a client's address; 0 for no lockout",
  }),
  lockout: option(duration(), {
    flag: "--lockout DURATION",
    section: "login",
    default: "5m",
    usedBy: "load",
    description: "Duration of a lockout",
  }),
  socks4: {
    section: "login",
    description: "Checks of the user ids of SOCKS4 clients.",
    options: {
      userIds: option(list(text()), {
        flag: "--socks4-user-id NAME",
        isMerged: true,
        description:
          "User ids accepted from SOCKS4 clients. A user id is only a claim: a " +
          "server that listens beyond this machine also needs openProxy.",
        help:
          "User id accepted from SOCKS4 clients; may be repeated. A user id is " +
          "only a claim: a server that listens beyond this machine also needs " +
          "--open-proxy.",
      }),
      ident: option(toggle(), {
        flag: "--socks4-ident",
        default: false,
        description:
          "Require the client's ident server (RFC 1413) to confirm the user id. " +
          "That server is under the client's control, so this is not a login " +
          "either.",
      }),
    },
  },
  sessionWords: option(toggle(), {
    flag: "--session-words",
    section: "login",
    default: false,
    description:
      "User names may end with a session word: alice-session-7 is the user alice, with her " +
      "password. Each word has an address of its own if rules have several after via.",
  }),
  openProxy: option(toggle(), {
    flag: "--open-proxy",
    section: "login",
    default: false,
    description:
      "Allow listening beyond this machine without a login. Anyone who can reach " +
      "the port can then use the internet in your name, and any other target " +
      "that the rules allow.",
  }),
} satisfies OptionTable;
