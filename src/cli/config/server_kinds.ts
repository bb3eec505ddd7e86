/**
 * Kinds of values that only this server has: addresses, ports, logins and rules.
 *
 * @module
 */

import {
  type Endpoint,
  isIp,
  isUnspecified,
  parseEndpoint,
} from "../../protocol/address.ts";
import { parseCidr } from "../../protocol/cidr.ts";
import type { ProtectionLevel } from "../../gssapi/level.ts";
import { problemOfLine } from "../../server/auth/text_lines.ts";
import { UsersError } from "../../server/auth/user_lines.ts";
import { parseUsers } from "../../server/auth/users_file.ts";
import type { PortRange } from "../../server/options.ts";
import { parseRule } from "../../server/policy/rule_text.ts";
import { localPlace } from "../../transport/local_place.ts";
import { mayHoldLogin } from "../output/escape.ts";
import { UsageError } from "../usage_error.ts";
import {
  attempt,
  isWhole,
  type JsonSchema,
  type Kind,
  list,
  type ReadContext,
  scalar,
  text,
} from "./kinds.ts";

/** The path of a file. A lone dash is none: only `--config` reads the standard input. */
export function filePath(): Kind<string> {
  return text(
    "must be the path of a file",
    (it) => it !== "" && it !== "-",
  );
}

/** A program and its arguments: separated by spaces; in a file a list. */
export function command(): Kind<readonly string[]> {
  const word = { type: "string" };
  return scalar({
    schema: { type: "array", items: word, minItems: 1 },
    requirement: "must be a program and its arguments",
    text: (given) => {
      const words = given.split(/\s+/).filter((it) => it !== "");
      return words.length > 0 ? words : undefined;
    },
    json: (value) => isCommand(value) ? value : undefined,
  });
}

function isCommand(value: unknown): value is readonly string[] {
  return Array.isArray(value) && Boolean(value[0]) &&
    value.every((it) => typeof it === "string");
}

/** An IP address to listen on, in brackets or not, `localhost`, or another place. */
export function listenAddress(): Kind<string> {
  return text(
    "must be an IP address to listen on, unix:PATH or fd:NUMBER",
    (it) =>
      it === "localhost" || localPlace(it) !== undefined ||
      isIp(it.replace(/^\[(.*)\]$/, "$1")) !== 0,
  );
}

/** The permissions of a file, in octal. */
export function permissions(): Kind<number> {
  return scalar({
    schema: { type: "string", pattern: "^0?[0-7]{3}$" },
    requirement: "must be three octal digits, such as 660",
    text: (given) =>
      /^0?[0-7]{3}$/.test(given) ? parseInt(given, 8) : undefined,
  });
}

const LISTEN_ENDPOINT = "^([\\d.]+:|\\[[\\da-fA-F:.]+\\]:)?\\d{1,5}$";

/** Where to listen: `PORT` on loopback, or `ADDRESS:PORT`. In a file, a port may be a number. */
export function listenEndpoint(): Kind<Endpoint> {
  const port = { type: "integer", minimum: 0, maximum: 65535 };
  return scalar({
    schema: { anyOf: [port, { type: "string", pattern: LISTEN_ENDPOINT }] },
    requirement: "must be PORT or ADDRESS:PORT, such as 9180 or [::1]:9180",
    text: endpointOf,
    json: onLoopback,
  });
}

function endpointOf(text: string): Endpoint | undefined {
  return /^\d{1,5}$/.test(text) ? onLoopback(Number(text)) : ipEndpoint(text);
}

function onLoopback(port: unknown): Endpoint | undefined {
  return isWhole(port, 65535) ? { hostname: "127.0.0.1", port } : undefined;
}

/** As {@linkcode listenEndpoint}, or `unix:PATH`, whose port is 0. */
export function listenPlace(): Kind<Endpoint> {
  const endpoint = listenEndpoint();
  const [port, place] = endpoint.schema.anyOf as readonly JsonSchema[];
  const pattern = `${place.pattern}|^unix:.`;
  return scalar({
    schema: { anyOf: [port, { type: "string", pattern }] },
    requirement:
      "must be PORT, ADDRESS:PORT or unix:PATH, such as 9181 or unix:/run/admin.sock",
    text: (given) => {
      const local = localPlace(given);
      if (local && "path" in local) return { hostname: given, port: 0 };
      return endpointOf(given);
    },
    json: onLoopback,
  });
}

function ipEndpoint(text: string): Endpoint | undefined {
  try {
    const endpoint = parseEndpoint(text);
    return isIp(endpoint.hostname) ? endpoint : undefined;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
}

/** A range of ports: `FIRST-LAST`; in a file also an object of both. */
export function portRange(): Kind<PortRange> {
  const accept = (first: unknown, last: unknown) =>
    isWhole(first, 65535) && isWhole(last, 65535) && first >= 1 && first <= last
      ? { first, last }
      : undefined;
  const port = { type: "integer", minimum: 1, maximum: 65535 };
  const both = {
    type: "object",
    properties: { first: port, last: port },
    required: ["first", "last"],
    additionalProperties: false,
  };
  return scalar({
    schema: {
      anyOf: [{ type: "string", pattern: "^\\d{1,5}-\\d{1,5}$" }, both],
    },
    requirement: "must be FIRST-LAST, ports from 1 to 65535",
    text(given) {
      const parts = /^(\d{1,5})-(\d{1,5})$/.exec(given)?.slice(1).map(Number);
      return parts && accept(parts[0], parts[1]);
    },
    json(value) {
      if (typeof value !== "object" || value === null) return undefined;
      const { first, last, ...rest } = value as Partial<PortRange>;
      return Object.keys(rest).length === 0 ? accept(first, last) : undefined;
    },
  });
}

/** Addresses of this machine as clients reach them, at most one of each IP version. */
export function reachableAddresses(): Kind<readonly string[]> {
  const address = text(
    "must be an IP address that clients can reach",
    (it) => isIp(it) !== 0 && !isUnspecified(it),
  );
  const all = list(address, { check: checkVersions });
  return { ...all, schema: { ...all.schema, maxItems: 2 } };
}

function checkVersions(addresses: readonly string[], subject: string): void {
  if (new Set(addresses.map(isIp)).size === addresses.length) return;
  throw new UsageError(`${subject} may have one address of each IP version`);
}

/** IP addresses and blocks of them. */
export function addressBlocks(): Kind<readonly string[]> {
  return list(text(
    "must be an IP address or a block such as 10.0.0.0/8",
    (it) => parseCidr(it) !== undefined,
  ));
}

/** A line of a users file. Error messages never show it: it may be a password. */
export function login(): Kind<string> {
  return {
    ...text(),
    read(value, { path, problems }) {
      const problem = problemOfLogin(value);
      if (problem === undefined) return value as string;
      problems.push(`${path}: ${problem}`);
    },
  };
}

function problemOfLogin(line: unknown): string | undefined {
  // A users file may have comments and several lines; a login is a single line.
  if (typeof line !== "string" || /^\s*(#|$)|\n/.test(line)) {
    return "must be NAME:HASH, as printed by hash-password";
  }
  try {
    parseUsers(line);
  } catch (error) {
    if (!(error instanceof UsersError)) throw error;
    return error.problems[0].reason;
  }
}

/** A rule of the policy. */
export function rule(): Kind<string> {
  const parse = (given: string, subject: string) => {
    // Any white space separates words, also in a rule of several lines.
    const problem = problemOfLine(given.replace(/\r?\n/g, " "), true);
    if (problem) throw new UsageError(`${subject} a rule has ${problem}`);
    try {
      parseRule(given);
      return given;
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw new UsageError(
        mayHoldLogin(given)
          ? `${subject} a rule has a word with ":" that is no TARGET:PORTS (ports ` +
            "such as 443, 1-1023 or 80+443); it is not shown, because it may be a login"
          : `${subject} ${error.message}`,
      );
    }
  };
  return {
    ...text(),
    parse,
    read(given, context: ReadContext) {
      if (typeof given !== "string" || given === "") {
        return text().read(given, context);
      }
      return attempt(context, () => parse(given, `${context.path}:`));
    },
  };
}

const LEVELS = "^(?!.*(\\d).*\\1)[012](,[012]){0,2}$";

/** Protection levels: `2,1`; in a file also a list of numbers. */
export function protectionLevels(): Kind<readonly ProtectionLevel[]> {
  const levels = {
    type: "array",
    items: { enum: [2, 1, 0] },
    minItems: 1,
    uniqueItems: true,
  };
  return scalar({
    schema: { anyOf: [levels, { type: "string", pattern: LEVELS }] },
    requirement:
      "must be levels in the order of preference, such as 2,1: 2 encrypts, 1 signs, " +
      "0 does neither",
    text: (given) =>
      new RegExp(LEVELS).test(given)
        ? distinct(given.split(",").map(Number))
        : undefined,
    json: (value) => Array.isArray(value) ? distinct(value) : undefined,
  });
}

function distinct(levels: unknown[]): readonly ProtectionLevel[] | undefined {
  const isValid = levels.length > 0 && new Set(levels).size === levels.length &&
    levels.every((it) => it === 0 || it === 1 || it === 2);
  return isValid ? levels as ProtectionLevel[] : undefined;
}
