import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { FLAG_ENTRIES, FLAG_NAMES } from "../../src/cli/config/flag_table.ts";
import { type Invocation, parseFlags } from "../../src/cli/config/flags.ts";
import { FOREIGN_FLAGS } from "../../src/cli/config/foreign_flags.ts";
import { describeFailure } from "../../src/cli/failure.ts";
import { helpText, TOPICS } from "../../src/cli/config/help.ts";
import { load } from "../../src/cli/config/load.ts";
import { CONFIG, type Config } from "../../src/cli/config/config.ts";
import type { Kind } from "../../src/cli/config/kinds.ts";
import { VERSION } from "../../src/cli/version.ts";
import type { ServeOptions } from "../../src/server/options.ts";
import { resolveSettings } from "../../src/server/settings.ts";
import type { Transport } from "../../src/transport/transport.ts";
import config from "../../deno.json" with { type: "json" };
import { certificates } from "../support/certificates.ts";
import { test } from "../support/harness.ts";

/** An invocation without undefined members, and without passwords. */
function plain(command: Invocation): unknown {
  return JSON.parse(JSON.stringify(
    command,
    (_, value) => value instanceof Map ? [...value.keys()] : value,
  ));
}

function given(config: unknown, logins: string[] = [], file?: string) {
  return { config, logins, ...file === undefined ? {} : { file } };
}

function serve(config: unknown, logins?: string[], file?: string): unknown {
  return { type: "serve", commandLine: given(config, logins, file) };
}

const accepted: [args: string[], expected: unknown, users?: string][] = [
  [[], serve({})],
  [["--help"], { type: "help" }],
  [["-h"], { type: "help" }],
  [["--port", "x", "--help"], { type: "help" }],
  [["--prot", "--help", "--port"], { type: "help" }],
  [["--help", "all"], { type: "help", topic: "all" }],
  [["--help=all"], { type: "help", topic: "all" }],
  [["-h", "rules"], { type: "help", topic: "rules" }],
  [["--port", "x", "--help=no\nsuch"], { type: "help", topic: "no\nsuch" }],
  [["--version"], { type: "version" }],
  [["-V"], { type: "version" }],
  [["--hostname", "::1"], serve({ hostname: "::1" })],
  [["--hostname=::1"], serve({ hostname: "::1" })],
  [["--port", "0"], serve({ port: 0 })],
  [["--port=65535"], serve({ port: 65535 })],
  [["--port", "1", "--port", "2"], serve({ port: 2 })],
  [["--user", "a:b"], serve({}, ["a"])],
  [["--user=a:b:c", "--user", "d:e"], serve({}, ["a", "d"])],
  [["--user", "__proto__:b"], serve({}, ["__proto__"])],
  [[], serve({}, ["a"]), "a:b"],
  [[], serve({}, ["a", "c"]), "a:b\r\n\r\nc: d \n"],
  [[], serve({}, ["a"]), "\ufeffa:b\n \n"],
  [[], serve({}), ""],
  [["--user", "a:b"], serve({}, ["a", "c"]), "c:d"],
  [["--open-proxy"], serve({ openProxy: true })],
  [["--http"], serve({ http: true })],
  [["--http", "false"], serve({})],
  [["--open-proxy", "false"], serve({})],
  [["--handshake-timeout", "500ms"], serve({ timeouts: { handshake: 500 } })],
  [["--connect-timeout", "10s"], serve({ timeouts: { connect: 10_000 } })],
  [["--idle-timeout", "5m"], serve({ timeouts: { idle: 300_000 } })],
  [["--idle-timeout", "0"], serve({ timeouts: { idle: 0 } })],
  [["--half-closed-timeout", "1h"], serve({ timeouts: { halfClosed: 3.6e6 } })],
  [["--idle-timeout", "0s"], serve({ timeouts: { idle: 0 } })],
  [["--idle-timeout", "596h"], serve({ timeouts: { idle: 596 * 3.6e6 } })],
  [["--max-sessions", "7"], serve({ limits: { sessions: 7 } })],
  [["--max-sessions", "0"], serve({ limits: { sessions: 0 } })],
  [["--bind-timeout", "30s"], serve({ timeouts: { bind: 30_000 } })],
  [
    ["--association-timeout", "1m"],
    serve({ timeouts: { association: 60_000 } }),
  ],
  [
    ["--max-associations-per-client", "3"],
    serve({ limits: { associationsPerClient: 3 } }),
  ],
  [
    ["--proxy-from", "10.0.0.0/8", "--proxy-from=::1"],
    serve({ proxyFrom: ["10.0.0.0/8", "::1"] }),
  ],
  [["--advertise", "192.0.2.1"], serve({ advertise: ["192.0.2.1"] })],
  [
    ["--advertise", "2001:db8::1", "--advertise=192.0.2.1"],
    serve({ advertise: ["2001:db8::1", "192.0.2.1"] }),
  ],
  [
    ["--relay-ports", "40000-40100"],
    serve({ relayPorts: { first: 40000, last: 40100 } }),
  ],
  [["--relay-ports=1-65535"], serve({ relayPorts: { first: 1, last: 65535 } })],
  [["--drop-fragments"], serve({ dropFragments: true })],
  [["--resolve"], serve({ resolve: true })],
  [["--grace", "1m"], serve({ grace: 60_000 })],
  [["--grace", "0"], serve({ grace: 0 })],
  [["--workers", "2"], serve({ workers: 2 })],
  [["--workers=auto"], serve({ workers: "auto" })],
  [["--log", "json"], serve({ log: "json" })],
  [["--log=off"], serve({ log: "off" })],
  [["--schema"], { type: "schema" }],
  [["--fail2ban"], { type: "fail2ban" }],
  [["--config", "a", "--config", "b"], serve({}, [], "b")],
  [["--check"], { type: "check", commandLine: given({}) }],
  [
    ["--explain", "a:1", "--check", "--port=1"],
    { type: "explain", question: "a:1", commandLine: given({ port: 1 }) },
  ],
  [
    ["--allow", "a:1", "--deny=user b", "--deny", "c:1", "--allow=d:1"],
    serve({ rules: ["allow a:1", "deny user b", "deny c:1", "allow d:1"] }),
  ],
  [["--deny=*", "--allow=a"], serve({ rules: ["deny *", "allow a"] })],
  [["--users-file=a", "--users-file", "b"], serve({ usersFile: ["a", "b"] })],
  [["--failed-logins", "3"], serve({ failedLogins: 3 })],
  [["--lockout", "1h"], serve({ lockout: 3.6e6 })],
  [
    ["--socks4-user-id", "a", "--socks4-user-id=b", "--socks4-ident"],
    serve({ socks4: { userIds: ["a", "b"], ident: true } }),
  ],
  [
    ["--max-sessions-per-client=1", "--max-sessions-per-user=2"],
    serve({ limits: { sessionsPerClient: 1, sessionsPerUser: 2 } }),
  ],
  [
    [
      "--max-handshakes-per-client=1",
      "--max-connections-per-second-per-client=2",
    ],
    serve({
      limits: { handshakesPerClient: 1, connectionsPerSecondPerClient: 2 },
    }),
  ],
  [
    [
      "--max-bytes-per-second-per-session",
      "500k",
      "--max-bytes-per-second-per-user=1.5M",
    ],
    serve({
      limits: { bytesPerSecondPerSession: 5e5, bytesPerSecondPerUser: 1.5e6 },
    }),
  ],
  [
    ["--max-bytes-per-second-per-session", "0"],
    serve({ limits: { bytesPerSecondPerSession: 0 } }),
  ],
  [
    ["--max-bytes-per-second-per-session", "2G"],
    serve({ limits: { bytesPerSecondPerSession: 2e9 } }),
  ],
  [["--hostname", "localhost"], serve({ hostname: "localhost" })],
  [["--hostname", "[::1]"], serve({ hostname: "[::1]" })],
];

for (const [args, expected, users] of accepted) {
  const env = users === undefined
    ? ""
    : `SOCKS5_USERS=${JSON.stringify(users)}`;
  test(`parseFlags() accepts ${args.join(" ")} ${env}`, () => {
    assertEquals(plain(parseFlags(args, () => users)), expected);
  });
}

const refused: [args: string[], message: RegExp, users?: string][] = [
  [
    ["--prot", "1"],
    /^unknown flag --prot: did you mean --port\? \(--help all /,
  ],
  [["--prot=1"], /^unknown flag --prot: /],
  [["-p", "1"], /^unknown flag -p: did you mean --port\? \(/],
  [["-p1080"], /^unknown flag -p: did you mean --port\? \(/],
  [["-p=1080"], /^unknown flag -p: did you mean --port\? \(/],
  [["-i0.0.0.0"], /^unknown flag -i: did you mean --hostname\? \(/],
  [["-u", "alice:hunter2"], /^unknown flag -u: did you mean --user NAME/],
  [["-u", "alice", "-P", "hunter2"], /^unknown flag -u: /],
  [["-P", "hunter2"], /^unknown flag -P: did you mean --user NAME:PASSWORD/],
  [["-z"], /^unknown flag -z \(/],
  [["-v"], /^unknown flag -v: did you mean --version\? .*--log text/],
  [["-d"], /^unknown flag -d: the server stays in the foreground/],
  [["-c", "x"], /^unknown flag -c: did you mean --config FILE\? \(/],
  [["-b", "x"], /^unknown flag -b: did you mean --hostname\? .* via ADDRESS/],
  [["-l", "x"], /^unknown flag -l: did you mean --hostname, --port, --log /],
  [["--host", "x"], /^unknown flag --host: did you mean --hostname\? \(/],
  [["--password=hunter2"], /^unknown flag --password: did you mean --user /],
  [["--no-auth"], /^unknown flag --no-auth: without logins, .* --open-proxy/],
  [["--max-connections=x"], /^--max-connections must be a whole number/],
  [["--max-connections", "--check"], /^--max-connections needs a value$/],
  [["--max-sessions=x"], /^--max-sessions must be a whole number/],
  [["--constructor", "1"], /^unknown flag --constructor \(/],
  [["--\x1b[31m"], /^unknown flag, or a value that begins with "-"/],
  [["--port", "-1"], /^unknown flag, or .* written as --FLAG=VALUE \(/],
  [["--user", "-bob:hunter2"], /^unknown flag, or [^2]*$/],
  [["-secret2"], /^unknown flag, or [^2]*$/],
  [["--no-open-proxy"], /^unknown flag --no-open-proxy \(/],
  [["--no-open-proxy=1"], /^unknown flag --no-open-proxy \(/],
  [["1080"], /^unexpected argument "1080": did you mean --port 1080\? \(/],
  [["help"], /^unexpected argument "help": did you mean --help\? \(/],
  [[""], /^unexpected argument "" \(/],
  [["-"], /^unexpected argument "-" \(/],
  [["--", "1080"], /^unexpected argument "1080": /],
  [
    ["--user", "alice:my", "hunter2"],
    /^unexpected argument in addition to --user NAME:PASSWORD \(/,
  ],
  [["--open-proxy=no"], /^--open-proxy takes no value$/],
  [["--port"], /^--port needs a value$/],
  [["--port="], /^--port needs a value$/],
  [["--port", "--open-proxy"], /^--port needs a value$/],
  [["--hostname", ""], /^--hostname needs a value$/],
  [
    ["--port", "65536"],
    /^--port must be a whole number from 0 to 65535, not "65536"$/,
  ],
  [["--port", "1e3"], /^--port must be /],
  [["--port", " 1"], /^--port must be /],
  [["--port=-1"], /^--port must be /],
  [["--max-sessions", "many"], /^--max-sessions must be /],
  [
    ["--idle-timeout", "30"],
    /^--idle-timeout 30 has no unit: write 30s for seconds/,
  ],
  [["--idle-timeout", "5 m"], /^--idle-timeout must be a duration such as /],
  [["--idle-timeout", "5min"], /^--idle-timeout must be a duration such as /],
  [["--idle-timeout=-5s"], /^--idle-timeout must be a duration such as /],
  [["--connect-timeout", "597h"], /^--connect-timeout 597h is too long/],
  [["--grace", "10"], /^--grace 10 has no unit/],
  [["--proxy-from", "10.0.0.1/8"], /^--proxy-from must be an IP address or a/],
  [["--advertise", "proxy.example"], /^--advertise must be an IP address /],
  [["--advertise", "0.0.0.0"], /^--advertise must be an IP address /],
  [["--advertise="], /^--advertise needs a value$/],
  [
    ["--advertise", "192.0.2.1", "--advertise", "192.0.2.2"],
    /^--advertise may have one address of each IP version$/,
  ],
  [["--relay-ports", "40000"], /^--relay-ports must be FIRST-LAST, /],
  [["--relay-ports", "0-9"], /^--relay-ports must be FIRST-LAST, /],
  [["--relay-ports", "9-8"], /^--relay-ports must be FIRST-LAST, /],
  [["--relay-ports", "1-65536"], /^--relay-ports must be FIRST-LAST, /],
  [["--relay-ports"], /^--relay-ports needs a value$/],
  [["--max-associations-per-client=-1"], /^--max-associations-per-client/],
  [["--drop-fragments=no"], /^--drop-fragments takes no value$/],
  [["--metrics", "here"], /^--metrics must be PORT or ADDRESS:PORT, .*"here"$/],
  [["--log", "xml"], /^--log must be one of auto, .*, off, not "xml"$/],
  [["--unlikely"], /^unknown flag --unlikely \(/],
  [["--hostname", "a.example"], /^--hostname must be an IP address to /],
  [
    ["--max-bytes-per-second-per-session", "10m"],
    /^--max-bytes-per-second-per-session must be bytes .* such as 500k/,
  ],
  [
    ["--max-bytes-per-second-per-session", "3G"],
    /^--max-bytes-per-second-per-session must be .*at most 2G.* not "3G"$/,
  ],
  [
    ["--max-bytes-per-second-per-session=-1"],
    /^--max-bytes-per-second-per-session must be /,
  ],
  [
    ["--max-bytes-per-second-per-user="],
    /^--max-bytes-per-second-per-user needs a value$/,
  ],
  [["--allow"], /^--allow needs a value$/],
  [["--allow", "--deny=a"], /^--allow needs a value$/],
  [["--deny="], /^--deny needs a value$/],
  [["--allow", "a:99999"], /^--allow rule "allow a:99999": /],
  [["--allow", "alice:hunter2"], /^--allow a rule has a word with ":" /],
  [["--deny", "user b alice:hunter2"], /^--deny a rule has a word with ":" /],
  [["--allow", "from alice:hunter2"], /^--allow a rule has a word with ":" /],
  [["--allow", "x via alice:hunter2"], /^--allow a rule has a word with ":"/],
  [["--allow", "x,alice:hunter2:5"], /^--allow a rule has a word with ":"/],
  [["--allow", "alice:hunter2*"], /^--allow a rule has a word with ":"/],
  [["--allow=[::1]/300:5"], /^--allow rule "allow \[::1\]\/300:5": /],
  [["--allow=2001:db8::/129"], /^--allow rule "allow 2001:db8::\/129": /],
  [["--deny", "a b c"], /^--deny rule "deny a b c": /],
  [["--allow", "allow a"], /^--allow rule "allow allow a": /],
  [["--explain"], /^--explain needs a value$/],
  [["--config="], /^--config needs a value$/],
  [["--users-file"], /^--users-file needs a value$/],
  [["--check=yes"], /^--check takes no value$/],
  [["--socks4-ident=yes"], /^--socks4-ident takes no value$/],
  [["--failed-logins", "x"], /^--failed-logins must be a whole number/],
  [["--lockout", "5"], /^--lockout 5 has no unit/],
  [
    ["--user", "hunter2"],
    /^--user must be NAME:PASSWORD, neither of them empty$/,
  ],
  [
    ["--connect-timeout=alice:hunter2"],
    /must be a duration .* not a value with ":"/,
  ],
  [
    ["--port", "alice:hunter2"],
    /^--port must be a whole .* not a value with ":"/,
  ],
  [["--hostname=alice:hunter2"], /^--hostname must be an IP address to /],
  [["--metrics=alice:hunter2"], /^--metrics must be PORT or ADDRESS:PORT/],
  [["--workers", "alice:hunter2"], /^--workers must be /],
  [["--log=alice:hunter2"], /^--log must be one of /],
  [["--proxy-from=alice:hunter2"], /^--proxy-from must be an IP address/],
  [["--advertise=alice:hunter2"], /^--advertise must be /],
  [["--relay-ports=alice:hunter2"], /^--relay-ports must be /],
  [
    ["--max-bytes-per-second-per-user=alice:hunter2"],
    /^--max-bytes-per-second-per-user must be /,
  ],
  [["--port=0::1"], /^--port must be .* not "0::1"$/],
  [
    ["alice:hunter2"],
    /^unexpected argument with ":": logins are given by --user/,
  ],
  [["--user", "alice:"], /^--user must be NAME:PASSWORD/],
  [["--user", ":hunter2"], /^--user must be NAME:PASSWORD/],
  [["--user"], /^--user must be NAME:PASSWORD/],
  [
    ["--user", `${"x".repeat(256)}:hunter2`],
    /^--user must have a name and a password of 1 to 255 bytes$/,
  ],
  [
    ["--user", `alice:hunter2${"é".repeat(125)}`],
    /^--user must have .* 1 to 255 bytes \(user "alice"\)$/,
  ],
  [
    [],
    /^line 2 of SOCKS5_USERS must have .* bytes \(user "b"\)$/,
    `a:b\nb:hunter2${"é".repeat(125)}`,
  ],
  [
    ["--user", "alice:hunter2", "--user=alice:b"],
    /^user "alice" is defined twice$/,
  ],
  [["--user", "alice:hunter2"], /^user "alice" is defined twice$/, "alice:b"],
  [[], /^line 2 of SOCKS5_USERS must be NAME:PASSWORD/, "a:b\nhunter2"],
  [[], /^line 1 of SOCKS5_USERS has a carriage return /, "a:hunter2\rb:c\n"],
  [[], /^line 2 of SOCKS5_USERS has a control character$/, "a:b\nc:hunter2\0"],
  [[], /^line 1 of SOCKS5_USERS has white space around the name$/, " a:b"],
  [["--user=a:hunter2\r"], /^--user has a carriage return within the line/],
  [["--socks4-user-id=a\x1b"], /^--socks4-user-id must not have a control ch/],
  [["--users-file=a\r"], /^--users-file must not have a carriage return/],
  [["--deny=user a\x1b"], /^--deny a rule has a control character$/],
  [["--deny=a:1\r"], /^--deny a rule has a carriage return/],
];

for (const [args, message, users] of refused) {
  const shown = JSON.stringify([...args, users ?? ""].join(" ")).slice(0, 60);
  test(`parseFlags() refuses ${shown}: ${message}`, () => {
    const error = assertThrows(() => parseFlags(args, () => users), Error);
    const failure = describeFailure(error);
    assertEquals(failure?.code, 2);
    assertMatch(failure!.message, message);
    assert(!failure!.message.includes("hunter2"), "shows a password");
    assert(!failure!.message.includes("\n"), "more than one line");
  });
}

test("parseFlags() advises on flags of other programs, of which it has none", () => {
  const known = FLAG_ENTRIES.flatMap(({ name, alias }) => [
    `--${name}`,
    `${alias?.length === 1 ? "-" : "--"}${alias}`,
  ]);
  for (const [flag, advice] of FOREIGN_FLAGS) {
    assert(!known.includes(flag), flag);
    const { message } = assertThrows(() => parseFlags([flag, "x"]), Error);
    assertEquals(message.indexOf(`unknown flag ${flag}: ${advice} (`), 0);
    for (const [meant] of advice.matchAll(/--[a-z-]+/g)) {
      assert(known.includes(meant), `${flag}: ${meant}`);
    }
  }
});

const help = helpText("all");

for (const topic of [undefined, ...TOPICS]) {
  test(`helpText(${topic ?? ""}) fits into 80 columns`, () => {
    const lines = helpText(topic).split("\n");
    assertEquals(lines.filter((it) => it.length > 80), []);
    assertEquals(lines.filter((it) => it.endsWith(" ")), []);
  });
}

test("helpText() fits on a screen, and has the way to the rest", () => {
  const brief = helpText();
  assert(brief.split("\n").length <= 24);
  for (const topic of TOPICS) assertMatch(brief, new RegExp(`\\b${topic}\\b`));
  assertMatch(brief, /^Usage: socks5 /m);
  assertMatch(brief, /^Example: socks5 /m);
  assertMatch(brief, /SOCKS encrypts nothing/);
  const flags = [...brief.matchAll(/^ +(?:-[hV], )?--([a-z-]+)/gm)];
  assertEquals(flags.length, 12);
});

test("helpText() says how to listen on all interfaces", () => {
  assertMatch(helpText("listen"), /0\.0\.0\.0 or :: for all\s+interfaces/);
});

test("helpText() names what the log writes before targets", () => {
  const commands = /bind, udp, resolve and reverse are before the target/;
  assertMatch(helpText("log"), commands);
});

test("helpText() has the permissions of Deno for all options", () => {
  for (const it of ["net", "read", "env", "sys", "ffi"]) {
    assertMatch(helpText("deno"), new RegExp(`--allow-${it}\\b`));
  }
});

test("helpText() has each topic within the text of all", () => {
  for (const topic of TOPICS) assert(help.includes(helpText(topic)), topic);
});

for (
  const [word, topic] of [
    ["login", "logins"],
    ["users", "logins"],
    ["config", "files"],
    ["limit", "limits"],
    ["output", "log"],
    ["port", "listen"],
    ["max-sessions", "limits"],
    ["explain", "rules"],
    ["version", "files"],
  ]
) {
  test(`helpText() takes ${word} for the topic ${topic}`, () => {
    assertEquals(helpText(word), helpText(topic));
  });
}

for (const word of ["", "everything", "--port", "constructor", "ALL", "a\nb"]) {
  test(`helpText() refuses ${JSON.stringify(word)}, and lists the topics`, () => {
    const error = assertThrows(() => helpText(word), Error);
    const failure = describeFailure(error)!;
    assertEquals(failure.code, 2);
    assert(!failure.message.includes("\n"));
    assert(failure.message.endsWith(TOPICS.join(", ")));
  });
}

test("helpText() does not repeat what may be a login", () => {
  const error = assertThrows(() => helpText("alice:hunter2"), Error);
  assert(!error.message.includes("hunter2"));
});

test("helpText() lists all flags, and no others", () => {
  const listed = help.matchAll(/^ +(?:-[hV], )?--([a-z\d-]+)(?= |$)/gm);
  const names = new Set([...listed].map(([, name]) => name));
  assertEquals([...names].sort(), [...FLAG_NAMES].sort());
});

/** The paths of all options of a file. */
function pathsOf(kind: Kind<unknown>, path = ""): string[] {
  if (!kind.keys) return [path];
  return Object.entries(kind.keys).flatMap(([key, inner]) =>
    pathsOf(inner, path ? `${path}.${key}` : key)
  );
}

function kindOf(path: string): Kind<unknown> {
  let kind: Kind<unknown> = CONFIG;
  for (const key of path.split(".")) kind = kind.keys![key];
  return kind;
}

/** Options with flags of another form: a password (--user), a part of a rule (--allow, --deny). */
const OTHER_FORMS = ["$schema", "users", "rules", "upstreams"];

/** Values of options that are neither numbers nor switches. */
const SAMPLES: Readonly<Record<string, [text: string, value: unknown]>> = {
  hostname: ["::1", "::1"],
  socketMode: ["660", 0o660],
  usersFile: ["a", ["a"]],
  accounting: ["1m", 60_000],
  accountingFile: ["a", "a"],
  chapSecrets: ["a", "a"],
  authCommand: ["a -b  c", ["a", "-b", "c"]],
  gssapiKeytab: ["a", "a"],
  gssapiLevels: ["2,1", [2, 1]],
  tlsCert: ["cert.pem", "cert.pem"],
  tlsKey: ["key.pem", "key.pem"],
  tlsClientCa: ["ca.pem", "ca.pem"],
  "socks4.userIds": ["a", ["a"]],
  advertise: ["::1", ["::1"]],
  proxyFrom: ["10.0.0.0/8", ["10.0.0.0/8"]],
  relayPorts: ["1-2", { first: 1, last: 2 }],
  workers: ["2", 2],
  log: ["json", "json"],
  upstream: ["http://a", ["http://a"]],
  upstreamPool: ["http://a socks4://b", ["http://a socks4://b"]],
  upstreamStrategy: ["sticky", "sticky"],
  upstreamCa: ["a", "a"],
  shared: ["unix:/a", "unix:/a"],
  metrics: ["[::1]:9", { hostname: "::1", port: 9 }],
  admin: ["unix:/a", { hostname: "unix:/a", port: 0 }],
  adminTokenFile: ["a", "a"],
};

/** The flag of an option, without the dashes. */
function flagOf(path: string): string {
  const [group, key] = path.replace(/Ids$/, "Id").split(".");
  const dashed = (text: string) =>
    text.replace(/[A-Z]/g, (it) => `-${it.toLowerCase()}`);
  if (key === undefined) return dashed(group);
  if (group === "timeouts") return `${dashed(key)}-timeout`;
  return `${group === "limits" ? "max" : group}-${dashed(key)}`;
}

for (const path of pathsOf(CONFIG)) {
  if (OTHER_FORMS.includes(path)) continue;
  const flag = flagOf(path);
  test(`parseFlags() reads --${flag} as the option ${path}`, () => {
    const isSwitch = kindOf(path).schema.type === "boolean";
    const [text, value] = SAMPLES[path] ?? ["0", isSwitch || 0];
    const args = isSwitch ? [`--${flag}`] : [`--${flag}`, text];
    const config = path.split(".").reduceRight(
      (inner, key) => ({ [key]: inner }),
      value,
    );
    assertEquals(plain(parseFlags(args)), serve(config));
  });
}

test("parseFlags() reads --max-connections as --max-sessions", () => {
  const meant = plain(parseFlags(["--max-connections=7"]));
  assertEquals(meant, serve({ limits: { sessions: 7 } }));
});

test("parseFlags() has no flags but those of options and a few others", () => {
  const options = pathsOf(CONFIG).map(flagOf);
  const others = FLAG_NAMES.filter((it) => !options.includes(it));
  assertEquals(
    others.sort(),
    "allow check config deny explain fail2ban help schema user version".split(
      " ",
    ),
  );
});

/** The options of `serve()` that no configuration has. A new one belongs here or in the table. */
const ONLY_IN_CODE: Record<
  Exclude<keyof ServeOptions, keyof Config> | "upstreams" | "accounting",
  true
> = {
  upstreams: true, // a configuration has their URLs
  accounting: true, // and an interval
  userAttributes: true,
  auth: true,
  policy: true,
  dial: true,
  reusePort: true,
  signal: true,
  onEvent: true,
  transport: true,
  listen: true,
  accept: true,
  sharedLimits: true,
  tls: true,
};

test("load() passes each option to serve() by the same name", async () => {
  const paths = pathsOf(CONFIG).filter((it) => !OTHER_FORMS.includes(it));
  const isLogin = (path: string) =>
    /^(usersFile$|chapSecrets$|gssapi|auth|admin)/.test(path);
  const isUpstream = (path: string) => path.startsWith("upstream");
  const others = paths.filter((it) => !isLogin(it) && !isUpstream(it));
  const args = others.map((path) => {
    const kind = kindOf(path);
    const text = SAMPLES[path]?.[0] ?? "0";
    return `--${flagOf(path)}${
      kind.schema.type === "boolean" ? "" : `=${text}`
    }`;
  });
  const command = parseFlags(args);
  assert(command.type === "serve");
  const { ca, server } = certificates();
  const read = (path: string) =>
    Promise.resolve(
      { "cert.pem": server.cert, "key.pem": server.key, "ca.pem": ca.cert }[
        path
      ]!,
    );
  const { options } = await load(command.commandLine, read);
  assertEquals(options.tls, { ...server, clientCa: ca.cert });
  const { config } = command.commandLine;
  for (const [key, value] of Object.entries(options)) {
    if (Object.hasOwn(ONLY_IN_CODE, key)) continue;
    assertEquals(value as unknown, config[key as keyof Config] as unknown, key);
    assert(value !== undefined, key);
  }
});

const noFiles = () => Promise.reject(new Error("there are no files"));

/** The settings that follow from arguments. */
async function settingsOf(args: string[]) {
  const command = parseFlags(args);
  assert(command.type === "serve");
  const { options, drainDelay, grace, log } = await load(
    command.commandLine,
    noFiles,
  );
  const transport = {} as Transport;
  const { auth: _, egress, ...rest } = await resolveSettings(
    options,
    transport,
  );
  return { ...rest, sticky: egress.sticky, drainDelay, grace, log };
}

test("helpText() has the defaults that apply", async () => {
  const flags = [
    ...help.matchAll(/^ +(--[a-z-]+) [^-]*?\(default\s+([^\s,)]+)/gm),
  ];
  assertEquals(flags.length, 22);
  const args = flags.flatMap(([, flag, value]) => [flag, value]);
  assertEquals(await settingsOf(args), await settingsOf([]));
});

test("VERSION is the version of deno.json", () => {
  assertEquals(VERSION, config.version);
});
