/**
 * Runs the README of a place as its readers do, from its first to its last command and
 * program.
 *
 * @module
 */

import { join } from "node:path";
import { report } from "../package/report.ts";
import { replayClients } from "./clients.ts";
import { codeBlocks, type Command, commandsOf } from "./blocks.ts";
import { certificate, page, website } from "./network.ts";
import { type Reader, readmeFor } from "./reader.ts";
import { Shell } from "./shell.ts";

/** A reader with tools of one kind. */
export interface Person {
  name: string;
  reader: Reader;
  choose: (command: Command) => string;
  /** Runs a program. */
  program: string;
}

export const people: Person[] = [
  {
    name: "Deno",
    reader: "jsr",
    choose: ({ text }) => text,
    program: "deno run -A --unstable-net",
  },
  {
    name: "Node",
    reader: "npm",
    choose: ({ text }) => text,
    program: "node26",
  },
  {
    name: "Bun",
    reader: "npm",
    choose: ({ text, other }) => other ?? text,
    program: "bun",
  },
];

/** The environment of commands, whose home is a folder. */
function environment(
  home: string,
  folder: string,
  registry: string,
): Record<string, string> {
  const bins = [".deno/bin", ".npm-global/bin", ".bun/bin"]
    .map((it) => join(home, it));
  const { PATH = "" } = Deno.env.toObject();
  return {
    HOME: home,
    PATH: [...bins, join(folder, "bin"), PATH].join(":"),
    NO_COLOR: "1",
    CURL_CA_BUNDLE: join(folder, certificate),
    GIT_SSL_CAINFO: join(folder, certificate),
    NODE_EXTRA_CA_CERTS: join(folder, certificate),
    JSR_URL: registry,
    npm_config_registry: registry,
    npm_config_prefix: join(home, ".npm-global"),
    npm_config_update_notifier: "false",
  };
}

/** Runs a README from its first to its last block. */
export async function replay(
  person: Person,
  folder: string,
  registry: string,
  text: string,
): Promise<void> {
  const home = await Deno.makeTempDir({ dir: folder });
  const project = await Deno.makeTempDir({ dir: folder });
  const env = environment(home, folder, registry);
  await using shell = new Shell(project, env);
  let programs = 0;
  for (const block of codeBlocks(readmeFor(person.reader, text))) {
    if (block.language === "jsonc") {
      await Deno.writeTextFile(join(project, "socks5.jsonc"), block.text);
    } else if (block.language === "ts") {
      // The programs have no types, so that Node runs them as well.
      const name = `program${++programs}.mjs`;
      await Deno.writeTextFile(join(project, name), block.text);
      await check(person.name, shell, `${person.program} ${name}`);
    } else if (block.language === "sh") {
      for (const command of commandsOf(block)) {
        await check(person.name, shell, person.choose(command));
      }
    } else if (block.language === "text" && person.reader === "npm") {
      await replayClients(person.name, shell, project, block);
    }
  }
}

/** Runs a command and reports the result. */
export async function check(
  name: string,
  shell: Shell,
  command: string,
): Promise<void> {
  const start = performance.now();
  const problem = await problemOf(shell, command);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  report(`${name}, ${seconds} s: ${command}`, problem);
}

/** Runs a command and returns its problem, if there is one. */
async function problemOf(
  shell: Shell,
  command: string,
): Promise<string | undefined> {
  const { success, isServer, output } = await shell.run(command);
  if (!success) return output;
  const port = Number(/"port":(\d+)/.exec(output)?.[1]);
  const isTls = output.includes('"tls":');
  if (
    isServer &&
    await greeting(port, isTls && await shell.file("cert.pem")) !== 5
  ) {
    return "it does not speak SOCKS";
  }
  if (command.endsWith(website)) {
    if (!output.includes(page)) return output;
    if (!await shell.logs(/example\.com/)) return "not through the proxy";
  }
}

/** Returns the first octet that a SOCKS5 server answers, in TLS if there is a certificate. */
async function greeting(port: number, cert: string | false): Promise<number> {
  const hostname = cert ? "localhost" : "127.0.0.1";
  using conn = cert
    ? await Deno.connectTls({ hostname, port, caCerts: [cert] })
    : await Deno.connect({ hostname, port });
  await conn.write(Uint8Array.of(5, 2, 0, 2));
  const octets = new Uint8Array(2);
  await conn.read(octets);
  return octets[0];
}
