/**
 * Flags of other programs (Dante, microsocks, 3proxy, gost, ssh, curl), and the flags
 * to write in their place.
 *
 * @module
 */

const HOSTNAME = "did you mean --hostname?";
const PORT = "did you mean --port?";
const USER = "did you mean --user NAME:PASSWORD?";
const USERS =
  "did you mean --users-file FILE (of hash-password) or --user NAME:PASSWORD?";
const CONFIG = "did you mean --config FILE?";
const LISTEN = "did you mean --hostname ADDRESS and --port PORT?";
const FROM =
  "to connect from an address, did you mean --allow '* via ADDRESS'?";
const CLIENTS = "did you mean --allow 'from ADDRESS'?";
const RULES = "did you mean --allow RULE or --deny RULE?";
const LOG = "each session has a line in the log, did you mean --log text?";
const QUIET = "did you mean --log off?";
const DAEMON =
  "the server stays in the foreground, and a service manager can start it";
const UPSTREAM = "did you mean --upstream URL?";
const RATE = "did you mean --max-bytes-per-second-per-session RATE?";
const TIMEOUT = "did you mean --connect-timeout or --idle-timeout?";
const OPEN = "without logins, the server needs no flag, or --open-proxy";

/** The text to write in place of a flag of another program. */
export const FOREIGN_FLAGS: ReadonlyMap<string, string> = new Map([
  ["-p", PORT],
  ["-i", HOSTNAME],
  ["-s", HOSTNAME],
  ["-b", `did you mean --hostname? ${capitalized(FROM)}`],
  ["-e", FROM],
  ["-l", "did you mean --hostname, --port, --log or --user?"],
  ["-L", LISTEN],
  ["-D", `${PORT} ${capitalized(DAEMON)}`],
  ["-d", DAEMON],
  ["-u", USER],
  ["-U", USER],
  ["-P", USER],
  ["-k", USER],
  ["-c", CONFIG],
  ["-C", CONFIG],
  ["-f", CONFIG],
  ["-v", `did you mean --version? ${capitalized(LOG)}`],
  ["-q", QUIET],
  ["-w", `did you mean --workers? To restrict clients, ${CLIENTS}`],
  ["-t", TIMEOUT],
  ["-F", UPSTREAM],
  ["-x", UPSTREAM],
  ["--host", HOSTNAME],
  ["--bind", HOSTNAME],
  ["--bind-address", HOSTNAME],
  ["--address", HOSTNAME],
  ["--addr", HOSTNAME],
  ["--ip", HOSTNAME],
  ["--interface", HOSTNAME],
  ["--listen", LISTEN],
  ["--username", USER],
  ["--login", USER],
  ["--pass", USER],
  ["--passwd", USER],
  ["--password", USER],
  ["--auth", USERS],
  ["--users", USERS],
  ["--no-auth", OPEN],
  ["--noauth", OPEN],
  ["--verbose", LOG],
  ["--debug", LOG],
  ["--quiet", QUIET],
  ["--silent", QUIET],
  ["--no-log", QUIET],
  ["--log-file", "the log goes to the standard output: did you mean > FILE?"],
  ["--logfile", "the log goes to the standard output: did you mean > FILE?"],
  ["--log-level", LOG],
  ["--json", "did you mean --log json?"],
  ["--daemon", DAEMON],
  ["--daemonize", DAEMON],
  ["--background", DAEMON],
  ["--conf", CONFIG],
  ["--config-file", CONFIG],
  ["--timeout", TIMEOUT],
  ["--bandwidth", RATE],
  ["--rate", RATE],
  ["--threads", "did you mean --workers?"],
  ["--whitelist", CLIENTS],
  ["--rule", RULES],
  ["--rules", RULES],
  ["--acl", RULES],
  ["--block", "did you mean --deny RULE?"],
  ["--proxy", UPSTREAM],
  ["--parent", UPSTREAM],
  ["--chain", UPSTREAM],
]);

function capitalized(text: string): string {
  return `${text[0].toUpperCase()}${text.slice(1)}`;
}
