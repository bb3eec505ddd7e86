import {
  chmodSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { ConfigFileReader } from "../../src/cli/config/files.ts";
import { parseFlags } from "../../src/cli/config/flags.ts";
import { load } from "../../src/cli/config/load.ts";
import {
  FileWatcher,
  WATCH_INTERVAL,
} from "../../src/cli/serve/file_watcher.ts";
import {
  type Certificate,
  certificates,
  issue,
  openssl,
} from "../support/certificates.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { withFolder } from "../support/folder.ts";
import { test } from "../support/harness.ts";
import { until } from "../transport/contract.ts";

/** A standard input that is empty. */
const NO_INPUT = { read: () => Promise.resolve(null) };

const { ca, server, other } = certificates();

/** A folder with files, which is removed afterwards. */
async function withFiles(
  files: Readonly<Record<string, string>>,
  use: (folder: string) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    for (const [name, content] of Object.entries(files)) {
      writeFileSync(join(folder, name), content, { mode: 0o600 });
    }
    await use(folder);
  });
}

/** Loads the configuration by these flags, in which `@` stands for the folder. */
async function loadFlags(folder: string, flags: string) {
  const args = flags.replaceAll("@", `${folder}/`).split(" ");
  const invocation = parseFlags(args);
  assert(invocation.type === "serve");
  return await load(
    invocation.commandLine,
    new ConfigFileReader(NO_INPUT).read,
  );
}

const PAIR = "--tls-cert @cert.pem --tls-key @key.pem";

test("load() reads certificates, and reports the end of their validity", async () => {
  const files = { "cert.pem": server.cert, "key.pem": server.key };
  await withFiles({ ...files, "ca.pem": ca.cert }, async (folder) => {
    const flags = `${PAIR} --tls-client-ca @ca.pem --plain-port 1081`;
    const { options, tls, hasFiles, warnings } = await loadFlags(folder, flags);
    assertEquals(options.tls, { ...server, clientCa: ca.cert });
    assertEquals(options.plainPort, 1081);
    assertEquals([hasFiles, tls?.files.length], [true, 3]);
    assertEquals(warnings, [
      `${folder}/cert.pem: expires on ${
        tls?.validTo.toISOString().slice(0, 10)
      }`,
    ]);
  });
});

test("load() finds certificates relative to the folder of the configuration file", async () => {
  const config = { tlsCert: "cert.pem", tlsKey: "key.pem" };
  const files = { "cert.pem": server.cert, "key.pem": server.key };
  const all = { ...files, "c.json": JSON.stringify(config) };
  await withFiles(all, async (folder) => {
    const { options } = await loadFlags(folder, "--config @c.json");
    assertEquals(options.tls?.cert, server.cert);
  });
});

const encrypted = (() => {
  const folder = mkdtempSync(join(tmpdir(), "socks5-tls-"));
  const key = join(folder, "key.pem");
  writeFileSync(key, server.key);
  const text = openssl("pkey", "-in", key, "-aes256", "-passout", "pass:x");
  rmSync(folder, { recursive: true });
  return text;
})();

const problems: [
  what: string,
  files: Readonly<Record<string, string>>,
  flags: string,
  message: RegExp,
][] = [
  [
    "the key is missing",
    {},
    "--tls-cert @cert.pem",
    /--tls-cert needs --tls-key/,
  ],
  [
    "only the key is given",
    {},
    "--tls-key @key.pem",
    /--tls-key needs --tls-cert/,
  ],
  [
    "only an authority is given",
    {},
    "--tls-client-ca @a",
    /--tls-client-ca needs --tls-cert/,
  ],
  [
    "only a plain port is given",
    {},
    "--plain-port 1",
    /--plain-port needs --tls-cert/,
  ],
  [
    "both ports are the same",
    {},
    `${PAIR} --port 99 --plain-port 99`,
    /--plain-port must be another port/,
  ],
  [
    "a file is missing",
    {},
    PAIR,
    /cert\.pem: no such file\n.*key\.pem: no such/,
  ],
  [
    "the certificate is not in PEM",
    { "cert.pem": "junk", "key.pem": server.key },
    PAIR,
    /cert\.pem: is not a certificate in PEM.*openssl x509 -inform DER/,
  ],
  [
    "both files are interchanged",
    { "cert.pem": server.key, "key.pem": server.cert },
    PAIR,
    /cert\.pem: is a private key, not a certificate/,
  ],
  [
    "the key is a certificate",
    { "cert.pem": server.cert, "key.pem": server.cert },
    PAIR,
    /key\.pem: is a certificate, not a private key/,
  ],
  [
    "the key is that of another certificate",
    { "cert.pem": server.cert, "key.pem": other.key },
    PAIR,
    /key\.pem: is not the key of the certificate.*x509 -in \S+cert\.pem -noout -pubkey/,
  ],
  [
    "the key is encrypted",
    { "cert.pem": server.cert, "key.pem": encrypted },
    PAIR,
    /key\.pem: is encrypted.*openssl pkey -in \S+key\.pem -out/,
  ],
];

for (const [what, files, flags, message] of problems) {
  test(`load() explains the problem when ${what}`, async () => {
    await withFiles(files, async (folder) => {
      const loading = () => loadFlags(folder, flags);
      assertMatch((await assertRejects(loading, Error)).message, message);
    });
  });
}

test("load() warns of a certificate that has expired, and of a key that all users can read", async () => {
  const old = issue({ subject: "/CN=old", by: ca, days: -1 });
  const files = { "cert.pem": old.cert, "key.pem": old.key };
  await withFiles(files, async (folder) => {
    chmodSync(join(folder, "key.pem"), 0o644);
    const [expired, mode] = (await loadFlags(folder, PAIR)).warnings;
    assertMatch(expired, /cert\.pem: expired on \d{4}-\d\d-\d\d: clients will/);
    assertMatch(mode, /key\.pem: every user .* can read the key: chmod 600 /);
  });
});

/** Watches both files of a folder, and calls `replace`. */
async function watch(
  folder: string,
  replace: () => void,
): Promise<readonly string[][]> {
  const clock = new FakeClock();
  const calls: string[][] = [];
  const files = ["cert.pem", "key.pem"].map((it) => join(folder, it));
  const watcher = new FileWatcher({
    files: () => files,
    onChange: (changed) => calls.push([...changed]),
    clock,
  });
  const look = async () => {
    await until(() => clock.timers > 0);
    clock.advance(WATCH_INTERVAL);
  };
  for (let i = 0; i < 3; i++) await look();
  await until(() => clock.timers > 0);
  assertEquals(calls, []);
  replace();
  for (let i = 0; i < 4; i++) await look();
  await until(() => clock.timers > 0);
  watcher.stop();
  return calls;
}

const write = (folder: string, { cert, key }: Certificate) => {
  writeFileSync(join(folder, "cert.pem"), cert);
  writeFileSync(join(folder, "key.pem"), key);
};

test("FileWatcher reports once that files were written", async () => {
  await withFiles({}, async (folder) => {
    write(folder, server);
    const calls = await watch(folder, () => write(folder, other));
    assertEquals(calls.length, 1);
  });
});

test("FileWatcher reports files that were replaced by others", async () => {
  await withFiles(
    { "cert.pem": "1", "key.pem": "2", "new.pem": "3" },
    async (folder) => {
      const [from, to] = ["new.pem", "cert.pem"].map((it) => join(folder, it));
      const calls = await watch(folder, () => renameSync(from, to));
      assertEquals(calls, [[to, join(folder, "key.pem")]]);
    },
  );
});

test("FileWatcher reports a link to their folder that leads elsewhere", async () => {
  await withFiles({}, async (folder) => {
    const link = join(folder, "live");
    await withFiles({ "cert.pem": "1", "key.pem": "2" }, async (first) => {
      await withFiles({ "cert.pem": "1", "key.pem": "2" }, async (second) => {
        symlinkSync(first, link);
        const calls = await watch(link, () => {
          symlinkSync(second, `${link}.new`);
          renameSync(`${link}.new`, link);
        });
        assertEquals(calls.length, 1);
      });
    });
  });
});

test("FileWatcher reports files that are missing", async () => {
  await withFiles({ "cert.pem": "1", "key.pem": "2" }, async (folder) => {
    const calls = await watch(folder, () => rmSync(join(folder, "key.pem")));
    assertEquals(calls.length, 1);
  });
});

test("readAgain() reads only the given files again", async () => {
  await withFiles({ a: "1", b: "2" }, async (folder) => {
    const [a, b] = ["a", "b"].map((it) => join(folder, it));
    const files = new ConfigFileReader(NO_INPUT);
    for (const it of [a, b]) await files.read(it);
    for (const it of [a, b]) writeFileSync(it, "new");
    const read = files.readAgain([b]);
    assertEquals([await read(a), await read(b)], ["1", "new"]);
    assertEquals(files.texts.map(([, text]) => text), ["1", "new"]);
  });
});
