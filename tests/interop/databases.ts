/**
 * Databases and a message broker on 127.0.0.1, with their files in a temporary folder,
 * a login, and TLS. There is no MongoDB: neither Debian nor npm has its server.
 *
 * @module
 */

import { readdirSync } from "node:fs";
import { chown, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { certificates } from "../support/certificates.ts";
import {
  findProgram,
  freePort,
  isRoot,
  missing,
  outputOf,
  run,
  until,
  withFolder,
  withListening,
} from "./programs.ts";

/** The login of all servers. For Redis it is the password of the default user as well. */
export const DATABASE_LOGIN = {
  username: "alice",
  password: "s3cret",
} as const;

/** A running server. */
export interface Database {
  readonly port: number;
  /** The port that expects TLS from the first byte, or negotiates it. */
  readonly tlsPort: number;
  /** The authority that signed its certificate for `localhost` and `127.0.0.1`, in PEM. */
  readonly ca: string;
}

/** A server that can be started. */
export interface DatabaseKind {
  readonly name: "PostgreSQL" | "MariaDB" | "Redis" | "RabbitMQ";
  /** Why it cannot run here. */
  readonly skip: string | undefined;
  /** Starts the server, runs `use` with it, and stops the server. */
  run<T>(use: (database: Database) => Promise<T>): Promise<T>;
}

/** Its programs are not on the `PATH`; Debian has several versions side by side. */
const POSTGRES = newest("/usr/lib/postgresql");
/** The script that Debian's `rabbitmq-server` runs after it has changed the user. */
const RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/** All servers. PostgreSQL and MariaDB have a database with the name of the user. */
export const databases: Record<DatabaseKind["name"], DatabaseKind> = {
  PostgreSQL: {
    name: "PostgreSQL",
    skip: missing(
      `${POSTGRES}/initdb`,
      `${POSTGRES}/postgres`,
      "psql",
      "setpriv",
    ),
    run: withPostgres,
  },
  MariaDB: {
    name: "MariaDB",
    skip: missing("mariadb-install-db", "mariadbd"),
    run: withMariadb,
  },
  Redis: {
    name: "Redis",
    skip: missing("redis-server"),
    run: withRedis,
  },
  RabbitMQ: {
    name: "RabbitMQ",
    skip: missing(RABBITMQ, "epmd"),
    run: withRabbitmq,
  },
};

function newest(folder: string): string {
  try {
    const versions = readdirSync(folder).map(Number).filter(Number.isFinite);
    return join(folder, `${Math.max(...versions)}`, "bin");
  } catch {
    return folder;
  }
}

/** The files of a server. */
interface Files {
  readonly folder: string;
  readonly data: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** Adds a file with this content, and returns its path. */
  file(name: string, content: string): Promise<string>;
}

/**
 * Runs `use` with a folder that has a certificate. If the tests run as root, it belongs
 * to `user`, as which the server is to run.
 */
function withFiles<T>(
  user: string | undefined,
  use: (files: Files) => Promise<T>,
): Promise<T> {
  const id = user && isRoot
    ? ["-u", "-g"].map((flag) => Number(outputOf("id", flag, user)))
    : undefined;
  const give = async (path: string) => {
    if (id) await chown(path, id[0], id[1]);
    return path;
  };
  return withFolder(async (folder) => {
    const file = async (name: string, content: string) => {
      const path = join(folder, name);
      // PostgreSQL refuses a key that others may read.
      await writeFile(path, content, { mode: 0o600 });
      return await give(path);
    };
    const data = join(folder, "data");
    await mkdir(data, { mode: 0o700 });
    await give(data);
    await give(folder);
    const { ca, server } = certificates();
    return await use({
      folder,
      data,
      file,
      ca: await file("ca.pem", ca.cert),
      cert: await file("cert.pem", server.cert),
      key: await file("key.pem", server.key),
    });
  });
}

function database(port: number, tlsPort = port): Database {
  return { port, tlsPort, ca: certificates().ca.cert };
}

/** Rejects unless a program ends well. */
async function check(
  command: string,
  args: readonly string[],
  stdin = "",
): Promise<void> {
  const { code, stdout, stderr } = await run(command, args, { stdin });
  if (code === 0) return;
  throw new Error(`${command} ended (${code}): ${stdout}${stderr}`);
}

/** PostgreSQL refuses to run as root. */
function withPostgres<T>(use: (it: Database) => Promise<T>): Promise<T> {
  const as = isRoot
    ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
    : ["env"];
  const { username, password } = DATABASE_LOGIN;
  return withFiles("postgres", async ({ folder, data, cert, key, file }) => {
    const [command, ...user] = as;
    await check(command, [
      ...[...user, join(POSTGRES, "initdb"), "--pgdata", data, "--no-sync"],
      ...["--no-locale", "--encoding=UTF8", "--auth=scram-sha-256"],
      ...["--username", username],
      `--pwfile=${await file("password", `${password}\n`)}`,
    ]);
    const argsFor = (port: number) => [
      ...[...user, join(POSTGRES, "postgres"), "-D", data],
      ...["-h", "127.0.0.1", "-p", `${port}`, "-k", folder, "-F"],
      ...["-c", "ssl=on", "-c", `ssl_cert_file=${cert}`],
      ...["-c", `ssl_key_file=${key}`],
    ];
    return await withListening(command, argsFor, async (port) => {
      const psql = async (database: string, statement: string) => {
        const url =
          `postgres://${username}:${password}@127.0.0.1:${port}/${database}`;
        return await run("psql", [url, "-c", statement]);
      };
      // It listens before it can answer.
      await until("PostgreSQL answers", async () => {
        return (await psql("postgres", "SELECT 1")).code === 0;
      });
      const { stderr } = await psql("postgres", `CREATE DATABASE ${username}`);
      if (stderr) throw new Error(`psql: ${stderr}`);
      return await use(database(port));
    });
  });
}

function withMariadb<T>(use: (it: Database) => Promise<T>): Promise<T> {
  const { username, password } = DATABASE_LOGIN;
  return withFiles("mysql", async ({ folder, data, cert, key, file }) => {
    const user = isRoot ? ["--user=mysql"] : [];
    await check("mariadb-install-db", [
      ...["--no-defaults", ...user, `--datadir=${data}`, "--skip-test-db"],
      "--auth-root-authentication-method=normal",
    ]);
    const init = await file(
      "init.sql",
      `CREATE DATABASE ${username};
CREATE USER '${username}'@'%' IDENTIFIED BY '${password}';
GRANT ALL ON ${username}.* TO '${username}'@'%';
`,
    );
    const argsFor = (port: number) => [
      ...["--no-defaults", ...user, `--datadir=${data}`],
      ...["--bind-address=127.0.0.1", `--port=${port}`],
      ...[`--socket=${folder}/socket`, `--pid-file=${folder}/pid`],
      ...[`--init-file=${init}`, `--ssl-cert=${cert}`, `--ssl-key=${key}`],
      ...["--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0"],
    ];
    return await withListening(
      "mariadbd",
      argsFor,
      (port) => use(database(port)),
    );
  });
}

function withRedis<T>(use: (it: Database) => Promise<T>): Promise<T> {
  const { username, password } = DATABASE_LOGIN;
  return withFiles(undefined, async ({ data, ca, cert, key, file }) => {
    let tlsPort = 0;
    const argsFor = async (port: number) => {
      tlsPort = await freePort();
      const config = await file(
        "redis.conf",
        `bind 127.0.0.1
port ${port}
tls-port ${tlsPort}
tls-ca-cert-file ${ca}
tls-cert-file ${cert}
tls-key-file ${key}
tls-auth-clients no
dir ${data}
save ""
requirepass ${password}
user ${username} on >${password} ~* &* +@all
`,
      );
      return [config];
    };
    return await withListening(
      "redis-server",
      argsFor,
      (port) => use(database(port, tlsPort)),
    );
  });
}

/**
 * Erlang finds its nodes by `epmd`. The broker would start one that stays, so that it
 * gets one here.
 */
function withRabbitmq<T>(use: (it: Database) => Promise<T>): Promise<T> {
  return withFiles(undefined, (files) => {
    const argsFor = (port: number) => [
      ...["-address", "127.0.0.1", "-port", `${port}`],
    ];
    return withListening("epmd", argsFor, (epmd) => rabbitmq(files, epmd, use));
  });
}

async function rabbitmq<T>(
  { folder, data, ca, cert, key, file }: Files,
  epmd: number,
  use: (it: Database) => Promise<T>,
): Promise<T> {
  const { username, password } = DATABASE_LOGIN;
  const config = join(folder, "rabbitmq.conf");
  const plugins = await file("plugins", "[].\n");
  let tlsPort = 0;
  const argsFor = async (port: number) => {
    tlsPort = await freePort();
    await writeFile(
      config,
      `listeners.tcp.1 = 127.0.0.1:${port}
listeners.ssl.1 = 127.0.0.1:${tlsPort}
ssl_options.cacertfile = ${ca}
ssl_options.certfile = ${cert}
ssl_options.keyfile = ${key}
default_user = ${username}
default_pass = ${password}
log.file = false
log.console = true
`,
    );
    return [
      `HOME=${data}`,
      `ERL_EPMD_PORT=${epmd}`,
      "ERL_EPMD_ADDRESS=127.0.0.1",
      "RABBITMQ_NODENAME=test@localhost",
      `RABBITMQ_DIST_PORT=${await freePort()}`,
      `RABBITMQ_CONFIG_FILE=${config}`,
      "RABBITMQ_CONF_ENV_FILE=/dev/null",
      `RABBITMQ_ENABLED_PLUGINS_FILE=${plugins}`,
      `RABBITMQ_MNESIA_BASE=${data}/mnesia`,
      `RABBITMQ_LOG_BASE=${data}/log`,
      `RABBITMQ_PID_FILE=${data}/pid`,
      // The script becomes the broker instead of waiting for it.
      "RABBITMQ_ALLOW_INPUT=1",
      "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=" +
      "-noinput -kernel inet_dist_use_interface {127,0,0,1}",
      findProgram(RABBITMQ) ?? RABBITMQ,
    ];
  };
  return await withListening(
    "env",
    argsFor,
    (port) => use(database(port, tlsPort)),
  );
}
