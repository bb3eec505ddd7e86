/**
 * Options for operating the server: log, workers, accounting, metrics and console.
 *
 * @module
 */

import { LOG_FORMATS } from "../../output/format.ts";
import { choice, countOrAuto, duration, toggle } from "../kinds.ts";
import { filePath, listenEndpoint, listenPlace } from "../server_kinds.ts";
import { option, type OptionTable } from "../option.ts";

/** More workers are considered a mistake. */
const MAX_WORKERS = 256;

/** The options, by their keys in a configuration file. */
export const OPERATION = {
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
  logStart: option(toggle(), {
    flag: "--log-start",
    section: "output",
    default: false,
    needsRestart: true,
    usedBy: "program",
    description:
      "Log also the start of each session, when its request is complete",
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
} satisfies OptionTable;
