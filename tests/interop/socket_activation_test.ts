/** The server on sockets that systemd's activation passes to it. */

import "./activated_program.ts"; // first: this module is also the program
import { assertEquals, assertStringIncludes } from "@std/assert";
import * as net from "node:net";
import { join } from "node:path";
import process from "node:process";
import { connect } from "../../src/client/mod.ts";
import { test } from "../support/harness.ts";
import {
  missing,
  programCommand,
  run,
  start,
  withFolder,
  withListening,
} from "./programs.ts";
import { startHttp } from "./targets.ts";

const ACTIVATE = "systemd-socket-activate";
const skip = missing(ACTIVATE, "curl");

/** The arguments of the program that listens and starts the server for its first client. */
function activate(listen: string): string[] {
  const home = process.env.HOME ?? "/";
  return [
    `--listen=${listen}`,
    `--setenv=HOME=${home}`,
    ...programCommand("activated", ["--allow-net"]),
  ];
}

test("serve() takes over a TCP socket that systemd has opened", async () => {
  const http = await startHttp();
  try {
    await withListening(
      ACTIVATE,
      (port) => activate(`127.0.0.1:${port}`),
      async (port) => {
        const url = `http://127.0.0.1:${http.port}/`;
        for (const [password, code] of [["secret", 0], ["wrong", 97]]) {
          const proxy = `socks5h://alice:${password}@127.0.0.1:${port}`;
          const args = ["-q", "-sS", "--noproxy", "", "-x", proxy, url];
          const answer = await run("curl", args);
          assertEquals(answer.code, code, answer.stderr);
          assertEquals(answer.stdout, code === 0 ? "hello" : "");
        }
      },
    );
  } finally {
    await http.close();
  }
}, { skip });

test("serve() takes over a Unix socket that systemd has opened", async () => {
  const http = await startHttp();
  try {
    await withFolder(async (folder) => {
      const path = join(folder, "proxy.sock");
      const program = await start(
        ACTIVATE,
        activate(path),
        () => reaches(path),
      );
      try {
        const conn = await connect(
          "socks5://alice:secret@127.0.0.1:1080",
          `127.0.0.1:${http.port}`,
          { conn: net.connect({ path, allowHalfOpen: true }), timeout: 20_000 },
        );
        const request = "GET / HTTP/1.0\r\n\r\n";
        await conn.write(new TextEncoder().encode(request));
        let response = "";
        for (let chunk; (chunk = await conn.read());) {
          response += new TextDecoder().decode(chunk);
        }
        conn.close();
        assertStringIncludes(response, "\r\n\r\nhello");
      } finally {
        await program.stop();
      }
    });
  } finally {
    await http.close();
  }
}, { skip });

/** Whether somebody listens on a Unix socket. */
function reaches(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(path);
    socket.on("connect", () => socket.destroy());
    socket.on("error", () => socket.destroy());
    socket.on("close", (failed) => resolve(!failed));
  });
}
