/**
 * The Admin API of a server in this process.
 *
 * @module
 */

import * as http from "node:http";
import * as net from "node:net";
import {
  AdminServer,
  type AdminServerOptions,
} from "../../../src/cli/admin/admin_server.ts";
import type { LogRecord } from "../../../src/cli/output/record.ts";
import type { ReloadRecord } from "../../../src/cli/serve/reload.ts";
import type { RunningServer } from "../../../src/cli/serve/running_server.ts";
import { startSingleServer } from "../../../src/cli/serve/single_server.ts";
import { connect, type SocksConn } from "../../../src/client/mod.ts";
import {
  Lockout,
  type ServeOptions,
  userPass,
} from "../../../src/server/mod.ts";
import { localPlace } from "../../../src/transport/local_place.ts";
import { LOOPBACK } from "../echo.ts";

/** The token of the fixture. */
export const TOKEN = "correct-horse-battery-staple";

/** An answer. */
export interface Answered {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
  // deno-lint-ignore no-explicit-any -- each test knows the shape
  readonly body: any;
}

/** A server and its Admin API. */
export interface Administration {
  readonly admin: AdminServer;
  readonly server: RunningServer;
  readonly records: LogRecord[];
  readonly lockout: Lockout;
  /** The names of the calls of `reload` and `drain`. */
  readonly calls: string[];
  /** The result of `reload`. */
  reloaded: ReloadRecord;
  /** The token of the configuration; `undefined` for that of the start. */
  token: string | undefined;
  /** Sends a request with the token, or with these fields. */
  ask(
    method: string,
    path: string,
    headers?: http.OutgoingHttpHeaders,
  ): Promise<Answered>;
  /** Sends text, and returns everything up to the end of the connection. */
  raw(text: string): Promise<string>;
  /** Connects to the listener. */
  socket(): net.Socket;
  /** Connects through the proxy. */
  visit(port: number, user: keyof typeof USERS): Promise<SocksConn>;
}

/** Options of {@linkcode withAdmin}. */
export interface AdminOptions extends Partial<AdminServerOptions> {
  readonly serve?: ServeOptions;
}

/** The users of the server, and their passwords. */
export const USERS = { alice: "a", bob: "b", "<b>eve</b>": "e" };

/** Starts both, calls `use`, and stops both. */
export async function withAdmin(
  use: (administration: Administration) => Promise<void>,
  { serve = {}, ...options }: AdminOptions = {},
): Promise<void> {
  const lockout = new Lockout({ failedLogins: 2 });
  const noLog = { onEvent: undefined } as Parameters<
    typeof startSingleServer
  >[0]["log"];
  const auth = [userPass(USERS, { guard: lockout })];
  const server = await startSingleServer({
    options: { port: 0, auth, ...serve },
    log: noLog,
    countsMetrics: true,
    guard: lockout,
  });
  const admin = await AdminServer.open({
    place: { hostname: LOOPBACK, port: 0 },
    token: TOKEN,
    ...options,
  });
  const place = placeOf(admin);
  const sockets = new Set<net.Socket>();
  const socket = () => {
    const opened = net.connect(place as net.NetConnectOpts);
    opened.on("error", () => {});
    sockets.add(opened);
    return opened;
  };
  const conns: SocksConn[] = [];
  const administration: Administration = {
    admin,
    server,
    records: [],
    lockout,
    calls: [],
    reloaded: { type: "reloaded", logins: 3, rules: 0, ignored: [] },
    token: undefined,
    ask: (method, path, headers) =>
      ask(place, method, path, headers ?? { authorization: `Bearer ${TOKEN}` }),
    raw: (text) => {
      const opened = socket();
      opened.on("connect", () => opened.write(text));
      return rest(opened);
    },
    socket,
    async visit(port, user) {
      const password = USERS[user];
      const login = `${encodeURIComponent(user)}:${password}`;
      const url = `socks5://${login}@${LOOPBACK}:${server.addr.port}`;
      const conn = await connect(url, { hostname: LOOPBACK, port });
      conns.push(conn);
      return conn;
    },
  };
  const { records, calls } = administration;
  admin.start({
    server,
    token: () => administration.token,
    reload: () => {
      calls.push("reload");
      return Promise.resolve(administration.reloaded);
    },
    drain: () => void calls.push("drain"),
    log: (record) => void records.push(record),
  });
  try {
    await use(administration);
  } finally {
    for (const it of sockets) it.destroy();
    for (const it of conns) it.close();
    await admin.close();
    await server.shutdown({ grace: 0 });
  }
}

function placeOf(admin: AdminServer): { path: string } | {
  host: string;
  port: number;
} {
  const local = localPlace(admin.url);
  if (local && "path" in local) return local;
  const { hostname, port } = new URL(admin.url);
  return { host: hostname, port: Number(port) };
}

/** Sends a request. */
export function ask(
  place: { path: string } | { host: string; port: number },
  method: string,
  path: string,
  headers: http.OutgoingHttpHeaders = {},
): Promise<Answered> {
  const where = "path" in place ? { socketPath: place.path } : place;
  return new Promise((resolve, reject) => {
    const all = { host: "localhost", ...headers };
    const options = { ...where, method, path, headers: all, agent: false };
    const request = http.request(options, async (response) => {
      let text = "";
      response.setEncoding("utf8");
      for await (const chunk of response) text += chunk;
      const { statusCode: status = 0, headers } = response;
      const isJson = `${headers["content-type"]}`.includes("json");
      const body = isJson && text !== "" ? JSON.parse(text) : undefined;
      resolve({ status, headers, text, body });
    });
    request.on("error", reject);
    request.end();
  });
}

/** Everything that a socket receives up to its end. */
export function rest(socket: net.Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    socket.setEncoding("utf8").on("data", (chunk) => text += chunk);
    socket.on("close", () => resolve(text));
  });
}
