/**
 * The options of the program. To add one, add a row: the flag, `--help`, the
 * configuration file and its JSON Schema, the type `Config`, the merging of flags
 * and file, and the report of a reload follow from it.
 *
 * @module
 */

import type { EgressOptions } from "../../server/egress/egress_options.ts";
import type { Limits, Timeouts } from "../../server/options.ts";
import { POOL_STRATEGIES } from "../../client/pool/strategy.ts";
import { LOG_FORMATS } from "../output/format.ts";
import {
  choice,
  countOrAuto,
  duration,
  list,
  oneOrMore,
  rate,
  text,
  toggle,
  whole,
} from "./kinds.ts";
import {
  type ConfigOption,
  type Flag,
  option,
  type OptionGroup,
  type OptionsOf,
} from "./option.ts";
import {
  addressBlocks,
  command,
  filePath,
  listenAddress,
  listenEndpoint,
  listenPlace,
  login,
  permissions,
  portRange,
  protectionLevels,
  reachableAddresses,
  rule,
} from "./server_kinds.ts";
import { redisUrl } from "./redis_kind.ts";
import { namedUpstreams, proxyUrl, proxyUrls } from "./upstream_kinds.ts";

/** More workers are considered a mistake. */
const MAX_WORKERS = 256;

/**
 * The options, by their keys in a configuration file. Within each section,
 * `--help` lists them in this order. Those with `brief` are on its first screen.
 */
export const OPTIONS = {
  $schema: option(text(), {
    usedBy: "load",
    description: "Location of the JSON Schema, for editors",
  }),
  hostname: option(listenAddress(), {
    flag: "--hostname ADDRESS",
    brief: "IP address to listen on",
    section: "listen",
    default: "127.0.0.1",
    needsRestart: true,
    description:
      "IP address to listen on; 0.0.0.0 or :: for all interfaces. Or unix:PATH " +
      "for a Unix socket, or fd:3 for the socket that a service manager passes",
  }),
  socketMode: option(permissions(), {
    flag: "--socket-mode MODE",
    section: "listen",
    default: "600",
    needsRestart: true,
    description: "Permissions of the Unix socket, such as 660",
  }),
  port: option(whole(65535), {
    flag: "--port PORT",
    brief: "Port to listen on",
    section: "listen",
    default: 1080,
    needsRestart: true,
    description: "Port to listen on; 0 for any free port",
  }),
  http: option(toggle(), {
    flag: "--http",
    section: "listen",
    default: false,
    description:
      "Serve HTTP on the same port as SOCKS, with the same logins and rules: CONNECT, " +
      "and requests for http:// URLs",
  }),
  proxyFrom: option(addressBlocks(), {
    flag: "--proxy-from ADDRESS[/PREFIX]",
    section: "listen",
    description:
      "Addresses of load balancers, such as 10.0.0.0/8. Their connections must begin " +
      "with a header of the PROXY protocol, which names the client; the server then " +
      "needs logins, wherever it listens.",
    help:
      "Address of load balancers, such as 10.0.0.0/8; may be repeated. Their " +
      "connections must begin with a header of the PROXY protocol, which names the " +
      "client; the server then needs logins, wherever it listens.",
  }),
  tlsCert: option(filePath(), {
    flag: "--tls-cert FILE",
    section: "tls",
    usedBy: "load",
    description:
      "Certificate in PEM, with those of intermediate authorities after it: makes the " +
      "port speak TLS. Files of TLS are loaded again when they change. Datagrams are not " +
      "encrypted.",
  }),
  tlsKey: option(filePath(), {
    flag: "--tls-key FILE",
    section: "tls",
    usedBy: "load",
    description: "Private key of the certificate in PEM, not encrypted",
  }),
  tlsClientCa: option(filePath(), {
    flag: "--tls-client-ca FILE",
    section: "tls",
    usedBy: "load",
    description:
      "Certificates of authorities in PEM: each client needs a certificate of one of " +
      "them. It counts as a login, and its common name as the user.",
  }),
  plainPort: option(whole(65535), {
    flag: "--plain-port PORT",
    section: "tls",
    needsRestart: true,
    description: "Second port, without TLS, on the same address",
  }),
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
  upstream: option(oneOrMore(proxyUrl()), {
    flag: "--upstream URL",
    section: "upstream",
    usedBy: "load",
    description:
      "Proxy that all connections go through, or the proxies of a chain in their order: " +
      "socks5h, socks5, socks4a, socks4, http, https, or with +tls, such as " +
      "socks5h://user:password@proxy.example:1080. If it cannot be reached, requests fail: " +
      "nothing is direct unless a rule says so. With socks5 and socks4 this server resolves " +
      "names, with the others the proxy does, and rules for addresses do not match names.",
    help:
      "Proxy that all connections go through, such as socks5h://proxy.example:1080; " +
      "repeated, the next proxy of a chain. If it cannot be reached, requests fail: " +
      "nothing is direct unless a rule says so. A password in the URL is visible in the " +
      "process list: prefer the file.",
  }),
  upstreamPool: option(list(proxyUrls(), { isSecret: true }), {
    flag: "--upstream-pool URLS",
    section: "upstream",
    usedBy: "load",
    description:
      "Alternatives in place of upstream: proxies, or chains as URLs separated by spaces. " +
      "One that cannot be reached rests for 1s at first and at most for 1m.",
    help:
      "An alternative in place of --upstream, a proxy or a chain ('URL URL'); may be " +
      "repeated. One that cannot be reached rests for 1s at first and at most for 1m.",
  }),
  upstreamStrategy: option(choice(POOL_STRATEGIES), {
    flag: `--upstream-strategy ${POOL_STRATEGIES.join("|")}`,
    section: "upstream",
    usedBy: "load",
    description:
      "Which alternative is used first: the first one, by default, one after the other, " +
      "or the same one for the same user (without a login, the same client)",
  }),
  upstreamCa: option(filePath(), {
    flag: "--upstream-ca FILE",
    section: "upstream",
    usedBy: "load",
    description:
      "Certificates of authorities in PEM for upstream proxies with TLS, in place of those " +
      "that the runtime trusts",
  }),
  upstreams: option(namedUpstreams(), {
    usedBy: "load",
    description:
      "Proxies by name for rules with through NAME. Each is a URL, a list of the URLs of a " +
      "chain, or an object with a pool of alternatives and its strategy.",
  }),
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
  log: option(choice(LOG_FORMATS), {
    flag: `--log ${LOG_FORMATS.join("|")}`,
    brief: "Format of the log",
    section: "output",
    default: "auto",
    needsRestart: true,
    usedBy: "program",
    description:
      "Format of the log, which has a line for each session and each rejected " +
      "client. auto: text on a terminal, JSON elsewhere; off: only lines about " +
      "the program itself.",
  }),
  workers: option(countOrAuto(MAX_WORKERS), {
    flag: "--workers N|auto",
    brief: "Processes on the port, or auto",
    section: "workers",
    default: 1,
    needsRestart: true,
    usedBy: "program",
    description:
      "Number of processes (threads on Deno) that share the port and the limits; " +
      "auto: one per CPU core. A worker that fails is restarted. For several, " +
      "Deno needs its flags --unstable-net and --allow-read.",
  }),
  logStart: option(toggle(), {
    flag: "--log-start",
    section: "output",
    default: false,
    needsRestart: true,
    usedBy: "program",
    description:
      "Log also the start of each session, when its request is complete",
  }),
  accounting: option(duration(), {
    flag: "--accounting INTERVAL",
    section: "output",
    needsRestart: true,
    usedBy: "program",
    description:
      "Count the bytes and sessions of each user, and log a usage record at this interval, " +
      "such as 60s, for each user with traffic",
  }),
  accountingFile: option(filePath(), {
    flag: "--accounting-file FILE",
    section: "output",
    needsRestart: true,
    usedBy: "program",
    description:
      "Keep the totals of users in this file, so that they survive restarts: a crash loses " +
      "one interval of accounting at most. Only one program may use the file. A relative " +
      "path is relative to the folder of this file.",
    help:
      "Keep the totals of users in this file, so that they survive restarts: a crash loses " +
      "one interval of --accounting at most. Only one program may use the file.",
  }),
  metrics: option(listenEndpoint(), {
    flag: "--metrics [ADDRESS:]PORT",
    brief: "Serve /metrics, /health and /live over HTTP",
    section: "output",
    needsRestart: true,
    usedBy: "program",
    description:
      "Serve over HTTP, without an ADDRESS on 127.0.0.1: GET /metrics (for Prometheus; no " +
      "names, no addresses), /health or /ready (200 while clients are to be sent here, " +
      "else 503), and /live (200 while the program runs)",
  }),
  admin: option(listenPlace(), {
    flag: "--admin [ADDRESS:]PORT|unix:PATH",
    section: "admin",
    needsRestart: true,
    usedBy: "program",
    description:
      "Serve a console for browsers and its API over HTTP, without an ADDRESS on " +
      "127.0.0.1: sessions, users, lockouts, ending, unlocking, reload and shutdown. A " +
      "port needs a token, a Unix socket is open to the user of the server only.",
  }),
  adminTokenFile: option(filePath(), {
    flag: "--admin-token-file FILE",
    section: "admin",
    usedBy: "load",
    description:
      "File with the token of the admin port, at least 16 characters (chmod 600). Without " +
      "it the server makes a token, and prints it to the standard error. An ADDRESS beyond " +
      "this machine needs the file.",
  }),
} satisfies Readonly<Record<string, ConfigOption | OptionGroup>>;

/** The flags that are not options. `--help` lists them after the options of their section. */
export const COMMAND_FLAGS: readonly Flag[] = [
  {
    flag: "--explain QUESTION",
    section: "rules",
    description: "Print the decision of the rules, and exit: " +
      "[COMMAND] [user USER] HOST:PORT [from ADDRESS]",
  },
  {
    flag: "--config FILE",
    brief: "JSON file of all options; - for standard input",
    section: "config",
    description:
      "JSON file, in which comments are allowed; --schema prints its schema. - " +
      "stands for the standard input. " +
      "Flags take precedence over it; logins and rules are merged, the rules of " +
      "flags first.",
  },
  {
    flag: "--check",
    section: "config",
    description: "Check flags and files, and exit",
  },
  {
    flag: "--schema",
    section: "config",
    description: "Print the JSON Schema of a configuration file, and exit",
  },
  {
    flag: "--fail2ban",
    section: "output",
    description:
      "Print a filter for fail2ban, which finds failed logins in this log, and exit",
  },
  {
    flag: "--help [TOPIC]",
    alias: "h",
    brief: "Print this, or the help of a topic",
    section: "config",
    description:
      "Print the most important flags, all of them (--help all), or those of a " +
      "topic, and exit",
  },
  {
    flag: "--version",
    alias: "V",
    brief: "Print the version",
    section: "config",
    description: "Print the version, and exit",
  },
];
