/**
 * Where the admin listener of a server is.
 *
 * @module
 */

import { readFile } from "../../cli/config/files.ts";
import { listenPlace } from "../../cli/config/server_kinds.ts";
import type { Host } from "../../cli/host/host.ts";
import { UsageError } from "../../cli/usage_error.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import { localPlace } from "../../transport/local_place.ts";
import type { Flag } from "../args/flags.ts";
import type { Arguments } from "../args/parse.ts";

/** The environment variable in place of `--admin`. */
const ADMIN_VARIABLE = "SOCKS5_ADMIN";

/** An admin listener. */
export interface AdminPlace {
  /** Where to connect. */
  readonly to:
    | { readonly socketPath: string }
    | { readonly hostname: string; readonly port: number };
  /** For error messages: without the token. */
  readonly text: string;
  readonly token: string | undefined;
}

/** The flags of all commands that speak to a server. */
export const PLACE_FLAGS: readonly Flag[] = [
  {
    name: "admin",
    value: "PLACE",
    text:
      "Where the server has its --admin: unix:PATH, [ADDRESS:]PORT, or the URL that it " +
      `has printed, http://ADDRESS:PORT/#token=TOKEN (default $${ADMIN_VARIABLE})`,
  },
  {
    name: "token-file",
    value: "FILE",
    text: "The file with the token, as the server's --admin-token-file",
  },
  { name: "json", text: "Print the answer as JSON" },
  { name: "help", text: "Print this help, and exit" },
];

/** What `help` says above the flags of each command. */
export const PLACE_TEXT = `\
It asks the server that was started with --admin. Other users of this machine
can read a token in --admin: prefer the variable or a file.`;

/** @throws {UsageError} if it is not given, or not valid. */
export async function readPlace(
  host: Pick<Host, "env">,
  args: Arguments,
): Promise<AdminPlace> {
  const given = args.value("admin");
  const text = given ?? host.env(ADMIN_VARIABLE);
  if (text === undefined) {
    throw new UsageError(
      "which server? Give --admin unix:PATH, --admin PORT or the URL that it has " +
        `printed, or set ${ADMIN_VARIABLE} to one of them`,
    );
  }
  const place = parsePlace(
    text,
    given === undefined ? ADMIN_VARIABLE : "--admin",
  );
  const file = args.value("token-file");
  if (file === undefined) return place;
  return { ...place, token: await readToken(file) };
}

/** Messages do not show the text, which may have a token. */
function parsePlace(text: string, subject: string): AdminPlace {
  const [, origin, token] =
    /^http:\/\/([^/?#@]+)\/?(?:#token=([\x21-\x7e]+))?$/i.exec(text) ?? [];
  const place = placeOf(origin ?? text);
  if (!place) {
    throw new UsageError(
      `${subject} must be unix:PATH, [ADDRESS:]PORT or http://ADDRESS:PORT/#token=TOKEN`,
    );
  }
  return { ...place, token };
}

function placeOf(text: string): Omit<AdminPlace, "token"> | undefined {
  const local = localPlace(text);
  if (local) {
    if (!("path" in local)) return undefined;
    return { to: { socketPath: local.path }, text };
  }
  try {
    const numeric = text.replace(/^localhost(?=:)/i, "127.0.0.1");
    const { hostname, port } = listenPlace().parse(numeric, "");
    return {
      to: { hostname, port },
      text: formatEndpoint({ hostname, port }),
    };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
  }
}

async function readToken(file: string): Promise<string> {
  try {
    return (await readFile(file, { isPrivate: true })).trim();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`--token-file: ${error.message}`);
  }
}
