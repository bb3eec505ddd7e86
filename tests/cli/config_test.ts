import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  type Config,
  configSchema,
  readConfig,
} from "../../src/cli/config/config.ts";
import { besideFile } from "../../src/cli/config/files.ts";
import { parseFlags } from "../../src/cli/config/flags.ts";
import { JsoncError, parseJsonc } from "../../src/cli/config/jsonc.ts";
import {
  ConfigError,
  load,
  type LoadedConfig,
} from "../../src/cli/config/load.ts";
import { Reloader } from "../../src/cli/serve/reload.ts";
import type { LogRecord } from "../../src/cli/output/record.ts";
import { UsageError } from "../../src/cli/usage_error.ts";
import { hashPassword } from "../../src/server/auth/password_hash.ts";
import { OptionError } from "../../src/server/option_error.ts";
import type { ServeOptions } from "../../src/server/options.ts";
import { resolveSettings } from "../../src/server/settings.ts";
import type { Transport } from "../../src/transport/transport.ts";
import published from "../../src/cli/config/config.schema.json" with {
  type: "json",
};
import { test } from "../support/harness.ts";

const hash = await hashPassword("hunter2", { iterations: 1 });

const parsed: [text: string, value: unknown][] = [
  ["{}", {}],
  [' {"a": [1, -2.5e3, "b", true, false, null]} ', {
    a: [1, -2500, "b", true, false, null],
  }],
  ['\ufeff{"a":1}', { a: 1 }],
  ['{"a":1,}', { a: 1 }],
  ["[1,]", [1]],
  ["// one\n/* two\n * / **/ [1 // three\r, /**/ 2] //", [1, 2]],
  ['"// no comment /*"', "// no comment /*"],
  ['"\\u0000\\ud83d\\ude00\\n\\"\\/"', '\0😀\n"/'],
  ['"é\x7f\u2028"', "é\x7f\u2028"],
  ['{"":1}', { "": 1 }],
  ["[".repeat(64) + "]".repeat(64), "deep"],
];

for (const [text, value] of parsed) {
  test(`parseJsonc() reads ${JSON.stringify(text).slice(0, 50)}`, () => {
    const found = parseJsonc(text);
    if (value !== "deep") assertEquals(found, value);
  });
}

test("parseJsonc() reads __proto__ as an ordinary key", () => {
  const value = parseJsonc('{"__proto__": {"port": 1}}') as { port?: number };
  assertEquals([Object.keys(value), value.port], [["__proto__"], undefined]);
});

const unreadable: [text: string, at: [number, number], reason: RegExp][] = [
  ["", [1, 1], /expected a value, not the end of the file$/],
  ["\n\n  ", [3, 3], /expected a value/],
  ["[1,,2]", [1, 4], /expected a value, not ","$/],
  ["[,]", [1, 2], /expected a value, not ","$/],
  ["[1 2]", [1, 4], /expected "," or "\]"$/],
  ['{"a" 1}', [1, 6], /expected ":"$/],
  ["{a: 1}", [1, 2], /expected a key in double quotes/],
  ["{", [1, 2], /expected a key in double quotes or "}"/],
  ['{"a": 1', [1, 8], /expected "," or "}"/],
  ["{} {}", [1, 4], /expected the end of the file/],
  ['{\r\n "a": 1,\r\n "a": 2}', [3, 2], /duplicate key "a"/],
  ["'a'", [1, 1], /expected a value, not "'"/],
  ["01", [1, 1], /"01" is not a value/],
  ["1.", [1, 1], /is not a value/],
  ["+1", [1, 1], /is not a value/],
  ["0x10", [1, 1], /is not a value/],
  ["NaN", [1, 1], /"NaN" is not a value/],
  ["constructor", [1, 1], /is not a value/],
  ["True", [1, 1], /is not a value/],
  ['"a', [1, 1], /unterminated string/],
  ['"a\n"', [1, 1], /unterminated string/],
  ['["\0"]', [1, 2], /control character or invalid escape/],
  ['"\t"', [1, 1], /control character or invalid escape/],
  ['"\\x41"', [1, 1], /invalid escape in a string/],
  ['"\\U0041"', [1, 1], /invalid escape in a string/],
  ["\0", [1, 1], /expected a value, not "\\x00"/],
  ["\x1b[31m", [1, 1], /not "\\x1b"/],
  ["1 /* *", [1, 3], /unterminated comment/],
  ["/*/ 1", [1, 1], /unterminated comment/],
  ["[".repeat(65), [1, 65], /nested deeper than 64 levels/],
  ['{"a":'.repeat(100_000), [1, 321], /nested deeper than 64 levels/],
  ["x".repeat(1_000_000), [1, 1], /^.{0,99}is not a value/],
];

for (const [text, at, reason] of unreadable) {
  const shown = JSON.stringify(text).slice(0, 50);
  test(`parseJsonc() refuses ${shown}: ${reason}`, () => {
    const error = assertThrows(() => parseJsonc(text), JsoncError);
    assertMatch(error.message, reason);
    assertEquals([error.line, error.column], at);
  });
}

function read(text: string): { config: Config; problems: string[] } {
  const problems: string[] = [];
  return { config: readConfig(text, "f", problems), problems };
}

/** Files that are valid by the schema and the validator, and their configurations. */
const good: [file: unknown, config: Config][] = [
  [{}, {}],
  [{ $schema: "./x.json" }, { $schema: "./x.json" }],
  [{ hostname: "0.0.0.0", port: 0 }, { hostname: "0.0.0.0", port: 0 }],
  [{ hostname: "localhost" }, { hostname: "localhost" }],
  [{ openProxy: true }, { openProxy: true }],
  [{ users: [`alice:${hash}`] }, { users: [`alice:${hash}`] }],
  [{ users: [] }, { users: [] }],
  [{ usersFile: "u.txt" }, { usersFile: ["u.txt"] }],
  [{ usersFile: ["a", "b"] }, { usersFile: ["a", "b"] }],
  [{ chapSecrets: "c.txt" }, { chapSecrets: "c.txt" }],
  [{ failedLogins: 0, lockout: "1h" }, { failedLogins: 0, lockout: 3.6e6 }],
  [{ rules: ["allow a:1", "deny *"] }, { rules: ["allow a:1", "deny *"] }],
  [
    { timeouts: { handshake: "500ms", connect: 7, idle: "5m", bind: "0" } },
    { timeouts: { handshake: 500, connect: 7, idle: 300_000, bind: 0 } },
  ],
  [
    { timeouts: { halfClosed: 0, association: "596h" } },
    { timeouts: { halfClosed: 0, association: 596 * 3.6e6 } },
  ],
  [
    { limits: { sessions: 1, sessionsPerClient: 2, sessionsPerUser: 3 } },
    { limits: { sessions: 1, sessionsPerClient: 2, sessionsPerUser: 3 } },
  ],
  [
    { limits: { handshakesPerClient: 4, connectionsPerSecondPerClient: 5 } },
    { limits: { handshakesPerClient: 4, connectionsPerSecondPerClient: 5 } },
  ],
  [
    { limits: { bytesPerSecondPerSession: "1.5M", bytesPerSecondPerUser: 7 } },
    { limits: { bytesPerSecondPerSession: 1.5e6, bytesPerSecondPerUser: 7 } },
  ],
  [
    {
      limits: { associationsPerClient: 2 ** 31 - 1, targetsPerAssociation: 0 },
    },
    {
      limits: { associationsPerClient: 2 ** 31 - 1, targetsPerAssociation: 0 },
    },
  ],
  [{ proxyFrom: ["10.0.0.0/8"] }, { proxyFrom: ["10.0.0.0/8"] }],
  [{ advertise: ["::1", "192.0.2.1"] }, { advertise: ["::1", "192.0.2.1"] }],
  [{ relayPorts: "1-65535" }, { relayPorts: { first: 1, last: 65535 } }],
  [
    { relayPorts: { first: 4, last: 4 } },
    { relayPorts: { first: 4, last: 4 } },
  ],
  [{ dropFragments: false }, { dropFragments: false }],
  [
    { socks4: { userIds: ["a"], ident: true } },
    { socks4: { userIds: ["a"], ident: true } },
  ],
  [{ grace: "10s", log: "json" }, { grace: 10_000, log: "json" }],
  [{ metrics: 0 }, { metrics: { hostname: "127.0.0.1", port: 0 } }],
  [{ metrics: "9180" }, { metrics: { hostname: "127.0.0.1", port: 9180 } }],
  [{ metrics: "0.0.0.0:1" }, { metrics: { hostname: "0.0.0.0", port: 1 } }],
  [{ metrics: "[::1]:9180" }, { metrics: { hostname: "::1", port: 9180 } }],
  [{ admin: 9181 }, { admin: { hostname: "127.0.0.1", port: 9181 } }],
  [{ admin: "unix:/a" }, { admin: { hostname: "unix:/a", port: 0 } }],
  [{ adminTokenFile: "t" }, { adminTokenFile: "t" }],
  [{ upstream: "socks5h://a:b@c:1" }, { upstream: ["socks5h://a:b@c:1"] }],
  [
    { upstream: ["HTTP://a/", "socks4+tls://[::1]"] },
    { upstream: ["HTTP://a/", "socks4+tls://[::1]"] },
  ],
  [
    { upstreamPool: ["http://a", "http://b http://c"] },
    { upstreamPool: ["http://a", "http://b http://c"] },
  ],
  [{ upstreamStrategy: "sticky" }, { upstreamStrategy: "sticky" }],
  [{ upstreams: {} }, { upstreams: {} }],
  [
    {
      upstreams: {
        a: "http://a",
        "b.c-d_1": ["http://a", "http://b"],
        p: { pool: ["http://a http://b"], strategy: "round-robin" },
        q: { pool: ["http://a"] },
      },
    },
    {
      upstreams: {
        a: ["http://a"],
        "b.c-d_1": ["http://a", "http://b"],
        p: { pool: ["http://a http://b"], strategy: "round-robin" },
        q: { pool: ["http://a"] },
      },
    },
  ],
];

/** Files that are invalid by both, and the problem that the validator reports. */
const bad: [file: unknown, problem: RegExp][] = [
  [[], /^f: must be an object, not a list$/],
  [null, /^f: must be an object, not null$/],
  ["x", /^f: must be an object, not "x"$/],
  [{ prot: 1 }, /^f: prot: unknown key, did you mean "port"\?$/],
  [{ "open-proxy": true }, /^f: open-proxy: .*did you mean "openProxy"\?$/],
  [{ constructor: 1 }, /^f: constructor: unknown key$/],
  [{ "a\nb\x1b": 1 }, /^f: a\\x0ab\\x1b: unknown key$/],
  [{ ["x".repeat(1e5)]: 1 }, /^f: x+: unknown key$/],
  [{ port: "1080" }, /^f: port: must be a whole number .* not "1080"$/],
  [{ port: 1.5 }, /^f: port: must be a whole number .* not 1.5$/],
  [{ port: -1 }, /^f: port: must be a whole number/],
  [{ port: 65536 }, /^f: port: must be a whole number/],
  [{ port: null }, /^f: port: must be a whole number .* not null$/],
  [{ hostname: 1 }, /^f: hostname: must be an IP address .* not 1$/],
  [{ hostname: "" }, /^f: hostname: must be an IP address/],
  [{ openProxy: "yes" }, /^f: openProxy: must be true or false, not "yes"$/],
  [{ openProxy: 1 }, /^f: openProxy: must be true or false, not 1$/],
  [{ users: `a:${hash}` }, /^f: users: must be a list, not a single value$/],
  [
    { users: "alice:hunter2" },
    /^f: users: must be a list, not a single value$/,
  ],
  [{ users: 1234 }, /^f: users: must be a list, not a single value$/],
  [{ users: [1] }, /^f: users\[0\]: must be NAME:HASH/],
  [{ chapSecrets: ["a"] }, /^f: chapSecrets: must be the path .* not a list$/],
  [{ usersFile: "" }, /^f: usersFile\[0\]: must be the path of a file, not ""/],
  [{ usersFile: [1] }, /^f: usersFile\[0\]: must be the path .* not 1$/],
  [{ usersFile: {} }, /^f: usersFile\[0\]: must be the path .* an object$/],
  [{ rules: "allow *" }, /^f: rules: must be a list, not "allow \*"$/],
  [{ rules: ["allow *", {}] }, /^f: rules\[1\]: must be a string, not an obj/],
  [{ rules: [""] }, /^f: rules\[0\]: must be a string, not ""$/],
  [{ timeouts: 5 }, /^f: timeouts: must be an object, not 5$/],
  [{ timeouts: { iddle: 5 } }, /^f: timeouts\.iddle: .* mean "idle"\?$/],
  [{ timeouts: { idle: "30" } }, /^f: timeouts\.idle: 30 has no unit/],
  [{ timeouts: { idle: "5 m" } }, /^f: timeouts\.idle: must be a duration/],
  [{ timeouts: { idle: -1 } }, /^f: timeouts\.idle: must be a duration/],
  [{ timeouts: { idle: 0.5 } }, /^f: timeouts\.idle: must be a duration/],
  [{ timeouts: { idle: 2 ** 31 } }, /^f: timeouts\.idle: must be a duration/],
  [{ timeouts: { idle: true } }, /^f: timeouts\.idle: must be a duration/],
  [
    { limits: { bytesPerSecondPerSession: "10m" } },
    /bytesPerSecondPerSession: must be bytes/,
  ],
  [
    { limits: { bytesPerSecondPerSession: -1 } },
    /bytesPerSecondPerSession: must be bytes/,
  ],
  [
    { limits: { targetsPerAssociation: "9" } },
    /^f: limits\.targetsPerAssociation: must be a whole/,
  ],
  [{ advertise: "::1" }, /^f: advertise: must be a list/],
  [{ advertise: ["::1", "1.1.1.1", "::2"] }, /one address of each IP version/],
  [{ relayPorts: "4" }, /^f: relayPorts: must be FIRST-LAST/],
  [{ relayPorts: { first: 1 } }, /^f: relayPorts: must be FIRST-LAST/],
  [{ relayPorts: { first: 0, last: 1 } }, /^f: relayPorts: must be FIRST/],
  [{ relayPorts: { first: 1, last: 2, x: 3 } }, /^f: relayPorts: must be/],
  [{ relayPorts: [1, 2] }, /^f: relayPorts: must be FIRST-LAST.* a list$/],
  [{ socks4: { ident: "no" } }, /^f: socks4\.ident: must be true or false/],
  [{ socks4: { userIds: [""] } }, /^f: socks4\.userIds\[0\]: must be/],
  [{ log: "xml" }, /^f: log: must be one of auto, .*, not "xml"$/],
  [{ log: ["text"] }, /^f: log: must be one of .* not a list$/],
  [{ metrics: 65536 }, /^f: metrics: must be PORT or ADDRESS:PORT.* 65536$/],
  [{ admin: "fd:3" }, /^f: admin: must be PORT, ADDRESS:PORT or unix:PATH/],
  [{ metrics: true }, /^f: metrics: must be PORT or ADDRESS:PORT.* not true$/],
  [{ metrics: "localhost:1" }, /^f: metrics: must be PORT or ADDRESS:PORT/],
  [{ metrics: "::1" }, /^f: metrics: must be PORT or .* not "::1"$/],
  [{ gssapiLevels: [] }, /^f: gssapiLevels: must be levels/],
  [{ gssapiLevels: [2, 2] }, /^f: gssapiLevels: must be levels/],
  [{ gssapiLevels: "2,1,2" }, /^f: gssapiLevels: .* not "2,1,2"$/],
  [{ upstream: "alice:hunter2" }, /^f: upstream\[0\]: must be the URL of a/],
  [{ upstream: "alice:hunter2@a:1" }, /^f: upstream\[0\]: must be the URL/],
  [{ upstream: "http://a http://b" }, /^f: upstream\[0\]: must be the URL/],
  [{ upstream: "http://a/path" }, /^f: upstream\[0\]: must be the URL of a/],
  [{ upstream: ["http://a", ""] }, /^f: upstream\[1\]: must be the URL of a/],
  [{ upstream: { pool: [] } }, /^f: upstream\[0\]: must be the URL of a/],
  [{ upstream: 1 }, /^f: upstream\[0\]: must be the URL of a proxy/],
  [{ upstreamPool: "http://a" }, /^f: upstreamPool: must be a list, not a si/],
  [{ upstreamPool: ["http://a ,"] }, /^f: upstreamPool\[0\]: must be the URL/],
  [{ upstreamStrategy: "random" }, /^f: upstreamStrategy: must be one of/],
  [{ upstreams: [] }, /^f: upstreams: must be an object with the upstreams/],
  [{ upstreams: { direct: "http://a" } }, /^f: upstreams\.direct: a name has/],
  [{ upstreams: { Up: "http://a" } }, /^f: upstreams\.Up: a name has small/],
  [{ upstreams: { "a b": "http://a" } }, /^f: upstreams\.a b: a name has/],
  [{ upstreams: { a: "alice:hunter2" } }, /^f: upstreams\.a\[0\]: must be th/],
  [{ upstreams: { a: ["alice:hunter2"] } }, /^f: upstreams\.a\[0\]: must be/],
  [{ upstreams: { a: 1 } }, /^f: upstreams\.a: must be the URL of a proxy, a/],
  [{ upstreams: { a: null } }, /^f: upstreams\.a: must be the URL of a proxy/],
  [{ upstreams: { a: {} } }, /^f: upstreams\.a: must be the URL of a proxy, a/],
  [{ upstreams: { a: { pool: [] } } }, /^f: upstreams\.a: must be the URL of/],
  [
    { upstreams: { a: { pool: ["alice:hunter2"] } } },
    /^f: upstreams\.a\.pool\[0\]: must be the URL/,
  ],
  [
    { upstreams: { a: { pool: ["http://a"], strategy: "x" } } },
    /^f: upstreams\.a\.strategy: must be one of/,
  ],
  [
    { upstreams: { a: { pool: ["http://a"], weight: 1 } } },
    /^f: upstreams\.a\.weight: unknown key/,
  ],
];

/** Files with mistakes that a schema cannot detect. */
const subtle: [file: unknown, problem: RegExp][] = [
  [{ hostname: "a.example" }, /^f: hostname: must be an IP address/],
  [{ rules: ["allow a:b"] }, /^f: rules\[0\]: a rule has a word with ":" /],
  [{ socks4: { userIds: ["a\r"] } }, /must not have a carriage return/],
  [{ chapSecrets: "a\0" }, /^f: chapSecrets: must not have a control/],
  [{ usersFile: ["a\0"] }, /^f: usersFile\[0\]: must not have a control/],
  [{ users: [`a\0:${hash}`] }, /^f: users\[0\]: a control character$/],
  [{ rules: ["deny user a\0"] }, /^f: rules\[0\]: a rule has a control ch/],
  [{ rules: ["permit *"] }, /^f: rules\[0\]: rule "permit \*": /],
  [{ users: ["hunter2"] }, /^f: users\[0\]: /],
  [{ users: ["alice:hunter2"] }, /^f: users\[0\]: /],
  [{ users: [`a:${hash}\nb:${hash}`] }, /^f: users\[0\]: must be NAME:HASH/],
  [{ users: ["# hunter2"] }, /^f: users\[0\]: must be NAME:HASH/],
  [{ timeouts: { idle: "597h" } }, /^f: timeouts\.idle: 597h is too long/],
  [
    { limits: { bytesPerSecondPerSession: "3G" } },
    /must be bytes .* per second/,
  ],
  [
    { proxyFrom: ["a"] },
    /^f: proxyFrom\[0\]: must be an IP address or a block/,
  ],
  [{ advertise: ["0.0.0.0"] }, /^f: advertise\[0\]: must be an IP address/],
  [{ advertise: ["::1", "::2"] }, /^f: advertise: may have one address/],
  [{ relayPorts: "2-1" }, /^f: relayPorts: must be FIRST-LAST/],
  [{ relayPorts: { first: 2, last: 1 } }, /^f: relayPorts: must be FIRST/],
  [{ hostname: "alice:hunter2" }, /^f: hostname: must be .* may be a login$/],
  [{ metrics: "65536" }, /^f: metrics: must be PORT or ADDRESS:PORT/],
  [{ upstream: "http://a\0" }, /^f: upstream\[0\]: must not have a control/],
  [{ upstreams: { a: [] } }, /^f: upstreams\.a: must be the URL of a proxy, a/],
];

interface Schema {
  type?: string;
  enum?: unknown[];
  anyOf?: Schema[];
  properties?: Record<string, Schema>;
  propertyNames?: Schema;
  additionalProperties?: boolean | Schema;
  required?: string[];
  items?: Schema;
  minItems?: number;
  maxItems?: number;
  uniqueItems?: boolean;
  minLength?: number;
  pattern?: string;
  minimum?: number;
  maximum?: number;
}

const KEYWORDS =
  /^(\$schema|title|description|default|type|enum|anyOf|properties|propertyNames|additionalProperties|required|items|minItems|maxItems|uniqueItems|minLength|pattern|minimum|maximum)$/;

/** A validator of JSON Schema, for the keywords that the schema has. */
function accepts(schema: Schema, value: unknown): boolean {
  for (const keyword of Object.keys(schema)) assertMatch(keyword, KEYWORDS);
  const { type, minimum = -Infinity, maximum = Infinity } = schema;
  const isType = {
    object: typeof value === "object" && value !== null &&
      !Array.isArray(value),
    array: Array.isArray(value),
    string: typeof value === "string",
    boolean: typeof value === "boolean",
    integer: Number.isInteger(value),
  } as Record<string, boolean>;
  if (type !== undefined && !isType[type]) return false;
  if (schema.enum && !schema.enum.includes(value)) return false;
  if (schema.anyOf && !schema.anyOf.some((it) => accepts(it, value))) {
    return false;
  }
  if (typeof value === "number" && (value < minimum || value > maximum)) {
    return false;
  }
  if (typeof value === "string") {
    const { minLength = 0, pattern = "" } = schema;
    return value.length >= minLength && new RegExp(pattern, "u").test(value);
  }
  if (Array.isArray(value)) {
    const { items = {}, minItems = 0, maxItems = Infinity } = schema;
    const isUnique = new Set(value).size === value.length;
    return value.length >= minItems && value.length <= maxItems &&
      (isUnique || !schema.uniqueItems) &&
      value.every((it) => accepts(items, it));
  }
  if (!isType.object) return true;
  const { properties = {}, required = [] } = schema;
  const { propertyNames = {}, additionalProperties: rest = true } = schema;
  const others = typeof rest === "object" ? rest : {};
  return required.every((it) => Object.hasOwn(value as object, it)) &&
    Object.entries(value as object).every(([key, it]) =>
      accepts(propertyNames, key) &&
      (Object.hasOwn(properties, key)
        ? accepts(properties[key], it)
        : rest !== false && accepts(others, it))
    );
}

const schema = configSchema() as Schema;

for (const [file, config] of good) {
  test(`configuration and schema accept ${JSON.stringify(file)}`, () => {
    assertEquals(read(JSON.stringify(file)), { config, problems: [] });
    assert(accepts(schema, file));
  });
}

for (const [file, problem] of bad) {
  const shown = JSON.stringify(file).slice(0, 60);
  test(
    `configuration and schema refuse ${shown}: ${problem}`.slice(0, 150),
    () => {
      const { problems } = read(JSON.stringify(file));
      assertEquals(problems.length, 1);
      assertMatch(problems[0], problem);
      assert(!problems[0].includes("hunter2"), "shows a password");
      assert(!accepts(schema, file));
    },
  );
}

for (const [file, problem] of subtle) {
  const shown = JSON.stringify(file).slice(0, 60);
  test(`configuration refuses ${shown}: ${problem}`.slice(0, 150), () => {
    const { problems } = read(JSON.stringify(file));
    assertEquals(problems.length, 1);
    assertMatch(problems[0], problem);
    assert(!problems[0].includes("hunter2"), "shows a password");
    assert(
      accepts(schema, file),
      "move it to the files that the schema rejects",
    );
  });
}

test("configuration refuses __proto__", () => {
  assertEquals(read('{"__proto__": {"port": 1}}').problems, [
    "f: __proto__: unknown key",
  ]);
});

/** The defaults in the schema, as a file. */
function defaultsOf({ properties = {} }: Schema): Record<string, unknown> {
  const entries = Object.entries(
    properties as Record<string, Schema & { default?: unknown }>,
  );
  return Object.fromEntries(entries.flatMap(([key, it]) => {
    if (it.default !== undefined) return [[key, it.default]];
    return it.properties ? [[key, defaultsOf(it)]] : [];
  }));
}

async function loadFiles(
  files: Record<string, string>,
  args: string[] = ["--config", "etc/f"],
): Promise<LoadedConfig> {
  const command = parseFlags(args);
  assert(command.type === "serve");
  return await load(command.commandLine, reader(files));
}

/** Reads files from a table. */
function reader(files: Record<string, string>) {
  return (path: string) =>
    Object.hasOwn(files, path)
      ? Promise.resolve(files[path])
      : Promise.reject(new UsageError("no such file"));
}

test("configSchema() has the defaults that apply", async () => {
  const defaults = defaultsOf(schema);
  assertEquals(Object.keys(defaults).length, 22);
  const settings = async (file: unknown) => {
    const text = JSON.stringify(file);
    const { options, drainDelay, grace, log, workers } = await loadFiles({
      "etc/f": text,
    });
    const resolved = await resolveSettings(options, {} as Transport);
    const { auth: _, egress: { sticky }, ...rest } = resolved;
    return { ...rest, sticky, drainDelay, grace, log, workers };
  };
  const { socks4: _, ...others } = defaults;
  assertEquals(await settings(others), await settings({}));
});

/** Flags, a file, and the options that follow from both. */
const merged: [args: string[], file: unknown, options: ServeOptions][] = [
  [["--port", "1"], { port: 2, hostname: "::1" }, {
    port: 1,
    hostname: "::1",
  }],
  [["--idle-timeout", "1s"], { timeouts: { idle: 2, connect: 3 } }, {
    timeouts: { idle: 1_000, connect: 3 },
  }],
  [
    ["--max-sessions=1"],
    { limits: { sessions: 2, targetsPerAssociation: 3 } },
    {
      limits: { sessions: 1, targetsPerAssociation: 3 },
    },
  ],
  [["--drop-fragments"], { dropFragments: false }, { dropFragments: true }],
  [[], { openProxy: true }, { openProxy: true }],
  [["--advertise=::1"], { advertise: ["::2", "1.1.1.1"] }, {
    advertise: ["::1"],
  }],
  [["--socks4-user-id=a"], { socks4: { userIds: ["b"], ident: true } }, {
    socks4: { userIds: ["a", "b"], ident: true },
  }],
];

for (const [args, file, expected] of merged) {
  test(`load() puts ${args.join(" ")} over ${JSON.stringify(file)}`, async () => {
    const text = JSON.stringify(file);
    const all = ["--config", "etc/f", ...args];
    const { options } = await loadFiles({ "etc/f": text }, all);
    const keys = Object.keys(expected) as (keyof ServeOptions)[];
    const found = Object.fromEntries(keys.map((key) => [key, options[key]]));
    assertEquals(found as ServeOptions, expected);
  });
}

test("load() refuses metrics on the address of the server in any notation", async () => {
  for (
    const [metrics, ...rest] of [
      ["1080"],
      ["81", "--port", "81", "--hostname", "0.0.0.0"],
      ["[::1]:81", "--port", "81", "--hostname", "[::1]"],
      ["81", "--port", "81", "--hostname", "localhost"],
    ]
  ) {
    const args = ["--metrics", metrics, ...rest];
    await assertRejects(
      () => loadFiles({}, args),
      UsageError,
      "--metrics cannot be on ",
    );
  }
  await assertRejects(
    () => loadFiles({ f: '{"metrics": 1080}' }, ["--config", "f"]),
    UsageError,
    "f: metrics: cannot be on 127.0.0.1:1080, where the server listens",
  );
  await loadFiles({}, ["--metrics", "0", "--port", "0"]);
  await loadFiles({}, [
    "--metrics",
    "81",
    "--port",
    "81",
    "--hostname",
    "127.0.0.2",
  ]);
});

test("load() puts the rules of flags before those of the file", async () => {
  const args = ["--config", "etc/f", "--deny", "a:1", "--allow=b:1"];
  const file = '{"rules": ["allow a", "deny b"]}';
  const { options, rules } = await loadFiles({ "etc/f": file }, args);
  assertEquals(rules, 4);
  const session = { client: { hostname: "127.0.0.1" } };
  const verdicts = ["a:1", "a:2", "b:1", "b:2"].map((target) => {
    const [hostname, port] = target.split(":");
    const request = { session, command: "connect", hostname, port: +port };
    return options.policy!(request as never)?.verdict;
  });
  assertEquals(verdicts, ["deny", "allow", "allow", "deny"]);
});

test("load() reads lists of hosts, beside the file or in the working directory", async () => {
  const files = {
    "etc/f": JSON.stringify({
      rules: ["deny @black", "deny @/white:25", "allow *"],
    }),
    "etc/black": ".ads.example\n",
    "/white": "mail.example",
    mine: "*.mine.example",
  };
  const args = ["--config", "etc/f", "--deny", "user al @mine,b"];
  const { options, warnings } = await loadFiles(files, args);
  assertEquals(warnings.filter((it) => !it.includes("user")), []);
  const session = { client: { hostname: "127.0.0.1" }, user: "al" };
  const verdictOf = (hostname: string, port: number) => {
    const request = { session, command: "connect", hostname, port } as const;
    return options.policy!(request as never);
  };
  for (
    const [hostname, port, rule] of [
      ["ads.example", 80, "deny @black"],
      ["a.mine.example", 80, "deny user al @mine,b"],
      ["mail.example", 25, "deny @/white:25"],
      ["mail.example", 26, "allow *"],
      ["mine.example", 80, "allow *"],
    ] as const
  ) assertEquals(verdictOf(hostname, port)?.rule, rule);
});

test("load() reports lists that are missing, invalid or ambiguous", async () => {
  const files = {
    "etc/f": JSON.stringify({ rules: ["deny @a", "deny @b", "deny @c"] }),
    "etc/a": "one.example\n10.1.2.3/8\n",
    "etc/c": "",
    c: "",
  };
  const args = ["--config", "etc/f", "--deny", "@c"];
  const error = await assertRejects(() => loadFiles(files, args), ConfigError);
  const wanted = [
    /^etc\/f: @"c" is another file than that of the flags: write the whole path$/,
    /^etc\/a: line 2: "10\.1\.2\.3\/8" has bits set after its prefix/,
    /^etc\/b: no such file$/,
  ];
  assertEquals(error.problems.length, wanted.length, error.message);
  for (const it of wanted) {
    assert(error.problems.some((problem) => it.test(problem)), error.message);
  }
});

test("load() adds up the logins of flags, file and users files", async () => {
  const files = {
    "etc/f": JSON.stringify({ usersFile: ["u", "/v"], users: [`a:${hash}`] }),
    "etc/u": `# one\nb:${hash}\n`,
    "/v": `c:${hash}`,
    "w": `d:${hash}`,
  };
  const args = ["--config", "etc/f", "--users-file=w", "--user", "e:f"];
  const { users, options } = await loadFiles(files, args);
  assertEquals([...users].sort(), ["a", "b", "c", "d", "e"]);
  assertEquals(options.auth?.map(({ name }) => name), ["password"]);
});

test("load() reports all problems of all files", async () => {
  const file = {
    prot: 1,
    rules: ["allow a:b"],
    usersFile: ["u", "nix", "v"],
    users: [`a:${hash}`],
    log: "xml",
  };
  const files = {
    "etc/f": JSON.stringify(file),
    "etc/u": `b:${hash}\nhunter2\n\nb:${hash}`,
    "etc/v": `a:${hash}\nc:${hash}`,
  };
  const args = ["--config", "etc/f", "--user", "c:d"];
  const error = await assertRejects(() => loadFiles(files, args), ConfigError);
  const wanted = [
    /^etc\/f: prot: unknown key/,
    /^etc\/f: rules\[0\]: a rule has a word with ":" /,
    /^etc\/f: log: must be one of/,
    /^etc\/u: line 2: /,
    /^etc\/u: line 4: /,
    /^etc\/nix: no such file$/,
    /^etc\/v: user "a" is defined twice$/,
    /^etc\/v: user "c" is defined twice$/,
  ];
  assertEquals(error.problems.length, wanted.length, error.message);
  for (const [index, it] of wanted.entries()) {
    assertMatch(error.problems[index], it);
  }
  assert(!error.message.includes("hunter2"));
});

test("load() reports the position of a syntax error", async () => {
  const error = await assertRejects(
    () => loadFiles({ "etc/f": '{\n  "port": 1\n  "log": "off"}' }),
    ConfigError,
  );
  assertEquals(error.problems, [
    'etc/f: line 3, column 3: expected "," or "}"',
  ]);
});

test("load() reports the first problems of a configuration of any size", async () => {
  const keys = Array.from(
    { length: 200_000 },
    (_, i) => [`key-${i}-of-many`, 1],
  );
  const long = "x".repeat(1_000_000);
  const files: [file: unknown, count: number, first: RegExp][] = [
    [Object.fromEntries(keys), 101, /^etc\/f: key-0-of-many: unknown key$/],
    [{ rules: Array(200_000).fill("x") }, 101, /^etc\/f: rules\[0\]: /],
    [{ users: Array(200_000).fill("x") }, 101, /^etc\/f: users\[0\]: /],
    [{ [long]: 1, port: "x" }, 2, /^etc\/f: x{900}.*…$/],
    [{ hostname: long }, 1, /^etc\/f: hostname: must be .* not "x+…$/],
  ];
  for (const [file, count, first] of files) {
    const text = JSON.stringify(file);
    const load = () => loadFiles({ "etc/f": text });
    const { problems, message } = await assertRejects(load, ConfigError);
    assertMatch(problems[0], first);
    assertEquals(problems.length, count);
    assertEquals(problems.includes("and more problems"), count > 100);
    assert(message.length < 20_000);
  }
});

test("load() warns of durations without a unit", async () => {
  const file = '{"timeouts": {"idle": 600, "connect": 0, "bind": "5s"}}';
  const { warnings } = await loadFiles({ "etc/f": file });
  assertEquals(warnings, [
    "etc/f: timeouts.idle: 600 has no unit and means milliseconds: " +
    'write "600ms", or "600s" for seconds',
  ]);
});

/** Rules, further flags, and the warnings. */
const doubtful: [rules: string[], args: string[], warnings: string[]][] = [
  [["allow user bob", "allow user bob 10.0.0.0/8"], ["--user=bob:b"], [
    'rule 2 "allow user bob 10.0.0.0/8" never decides: rule 1 "allow user bob *" ' +
    "matches first; before rule 1, it would open its targets",
  ]],
  [["deny *:25", "allow a:25", "allow *"], [], [
    'rule 2 "allow a:25" never decides: rule 1 "deny *:25" matches first',
  ]],
  [["allow 10.0.0.0/9", "deny 10.128.0.0/9", "allow 10.0.0.0/8"], [], [
    'rule 3 "allow 10.0.0.0/8" never decides: rule 1 "allow 10.0.0.0/9", ' +
    'rule 2 "deny 10.128.0.0/9" together match first',
  ]],
  [
    ["a", "b", "c", "d", "a,b,c,d"].map((it) => `deny ${it}`),
    [],
    [
      'rule 5 "deny a,b,c,d" never decides: rule 1 "deny a", rule 2 "deny b", ' +
      'rule 3 "deny c" and 1 more together match first',
    ],
  ],
  [
    ["allow user alice", "allow user bob", "deny user *"],
    ["--user=alice:a", "--user=bob:b"],
    [
      'rule 3 "deny user * *" never decides: rule 1 "allow user alice *", ' +
      'rule 2 "allow user bob *" together match first',
    ],
  ],
  [["deny user bob,alice,eve"], ["--user=alice:a"], [
    'rule 1 "deny user bob,alice,eve": there is no user "bob", "eve"',
  ]],
  [["allow user *"], [], [
    'rule 1 "allow user *" needs a user, and there are no logins',
  ]],
  [["allow user *"], ["--user=alice:a"], []],
  [["allow user bob"], ["--socks4-user-id=bob"], []],
  [["allow user bob"], ["--socks4-user-id=eve", "--socks4-ident"], [
    'rule 1 "allow user bob": there is no user "bob"',
  ]],
  [["allow user bob"], ["--socks4-ident"], []],
];

for (const [rules, args, warnings] of doubtful) {
  test(`load() warns of ${JSON.stringify(rules)} with ${args.join(" ")}`, async () => {
    const text = JSON.stringify({ rules });
    const all = ["--config", "etc/f", ...args];
    const loaded = await loadFiles({ "etc/f": text }, all);
    assertEquals(loaded.warnings, warnings);
  });
}

test("load() warns of a list without an entry, such as one that is not written yet", async () => {
  const files = { empty: "", comments: "# ads\n\n", some: "a.example" };
  const args = Object.keys(files).map((it) => `--deny=@${it}`);
  assertEquals((await loadFiles(files, args)).warnings, [
    "rules with @empty match nothing: the file has no entry",
    "rules with @comments match nothing: the file has no entry",
  ]);
});

test("load() warns of quotas that a restart forgets", async () => {
  const args = ["--users-file", "u"];
  const warningsOf = async (attributes: string, ...more: string[]) => {
    const files = { u: `alice:${hash}${attributes}` };
    return (await loadFiles(files, [...args, ...more])).warnings;
  };
  const quota = " quota=1G/day";
  assertEquals(await warningsOf(quota, "--accounting=60s"), [
    "quotas begin again at each restart: keep the totals with --accounting 60s " +
    "--accounting-file FILE",
  ]);
  const kept = ["--accounting=60s", "--accounting-file=usage.json"];
  assertEquals(await warningsOf(quota, ...kept), []);
  assertEquals(await warningsOf(quota, "--shared=redis://127.0.0.1"), []);
  assertEquals(await warningsOf(" rate=1M"), []);
});

test("load() has a bounded number of warnings", async () => {
  const rules = Array.from({ length: 300 }, (_, i) => `deny user u${i} a:${i}`);
  const text = JSON.stringify({ rules });
  const { warnings } = await loadFiles({ "etc/f": text });
  assertEquals(warnings.length, 101);
  assertEquals(warnings.at(-1), "and more warnings about rules");
});

test("Reloader logs the warnings of the new files", async () => {
  await withReloader(async ({ files, reload, records }) => {
    files.f = '{"lockout": 5}';
    await reload();
    const warnings = records.map((it) => "warnings" in it && it.warnings);
    assertMatch(String(warnings), /^f: lockout: 5 has no unit/);
  }, {});
});

test("load() does not show a login in place of the path of a file", async () => {
  for (const flag of ["--users-file", "--config"]) {
    const load = () => loadFiles({}, [flag, "alice:hunter2"]);
    const { problems } = await assertRejects(load, ConfigError);
    assertEquals(problems, ['a file with ":" in its name: no such file']);
  }
  const load = () => loadFiles({}, ["--users-file", "C:\\u.txt"]);
  const { problems } = await assertRejects(load, ConfigError);
  assertEquals(problems, ["C:\\\\u.txt: no such file"]);
});

test("load() escapes the path of a file that does not exist", async () => {
  const args = ["--config", "\x1b[31m"];
  const error = await assertRejects(() => loadFiles({}, args), ConfigError);
  assertEquals(error.problems, ["\\x1b[31m: no such file"]);
});

for (
  const [file, path, expected] of [
    ["f", "u", "u"],
    ["./f", "u", "./u"],
    ["/etc/f", "u", "/etc/u"],
    ["/etc/f", "../u", "/etc/../u"],
    ["/f", "u", "/u"],
    ["/etc/f", "/u", "/u"],
    ["C:\\etc\\f", "u", "C:\\etc\\u"],
    ["etc/f", "D:\\u", "D:\\u"],
    ["etc/f", "\\\\host\\u", "\\\\host\\u"],
  ]
) {
  test(`besideFile() finds ${path} of ${file} at ${expected}`, () => {
    assertEquals(besideFile(file, path), expected);
  });
}

/** Calls `use` with a reloader of one file, the updates of its server, and its log. */
async function withReloader(
  use: (it: {
    files: Record<string, string>;
    reload(): Promise<unknown>;
    updates: ServeOptions[];
    records: LogRecord[];
    refuse(error: Error): void;
  }) => Promise<void>,
  file: unknown,
): Promise<void> {
  const files = { "f": JSON.stringify(file) };
  const command = parseFlags(["--config", "f", "--port", "0"]);
  assert(command.type === "serve");
  const loaded = await load(command.commandLine, reader(files));
  const updates: ServeOptions[] = [];
  const records: LogRecord[] = [];
  let refusal: Error | undefined;
  const reloader = new Reloader({
    commandLine: command.commandLine,
    read: reader(files),
    loaded,
    server: {
      async update(options) {
        if (refusal) throw refusal;
        await Promise.resolve();
        updates.push(options);
      },
    },
    log: (record) => records.push(record),
  });
  const refuse = (error: Error) => void (refusal = error);
  const reload = () => reloader.reload();
  await use({ files, updates, records, refuse, reload });
}

test("Reloader updates the server with all options of the new files", async () => {
  await withReloader(async ({ files, reload, updates, records }) => {
    files.f = '{"limits": {"sessions": 7}, "rules": ["deny a"]}';
    await reload();
    assertEquals(updates[0].limits, { sessions: 7 });
    assertEquals(updates[0].timeouts, {});
    assert(updates[0].policy);
    assert(Object.hasOwn(updates[0], "auth") && !updates[0].auth);
    assert(!("hostname" in updates[0]) && !("port" in updates[0]));
    assertEquals(records, [
      { type: "reloaded", logins: 0, rules: 1, ignored: [] },
    ]);
  }, { timeouts: { idle: 5 }, users: [`a:${hash}`] });
});

test("Reloader keeps clients locked out unless the logins change", async () => {
  const users = [`a:${hash}`];
  await withReloader(async ({ files, reload, updates }) => {
    await reload();
    files.f = JSON.stringify({ users, grace: 1 });
    await reload();
    assert(updates[0].auth === updates[1].auth);
    files.f = JSON.stringify({ users, failedLogins: 1 });
    await reload();
    assert(updates[1].auth !== updates[2].auth);
  }, { users });
});

test("Reloader reports changes that need a restart", async () => {
  await withReloader(async ({ files, reload, records }) => {
    files.f = `{"hostname": "::1", "log": "off", "port": 5, "workers": 2,
      "metrics": 9180}`;
    await reload();
    // The port does not change: the flag takes precedence over the file.
    const ignored = ["hostname", "log", "workers", "metrics"];
    assertEquals(records, [{ type: "reloaded", logins: 0, rules: 0, ignored }]);
  }, {});
});

test("Reloader does not report an option that is set to its default", async () => {
  await withReloader(async ({ files, reload, records }) => {
    files.f = '{"hostname": "127.0.0.1", "log": "auto", "workers": 1}';
    await reload();
    assertEquals(records, [
      { type: "reloaded", logins: 0, rules: 0, ignored: [] },
    ]);
  }, {});
});

test("Reloader keeps the old configuration when the new one is invalid", async () => {
  await withReloader(async ({ files, reload, updates, records }) => {
    files.f = '{"log": 1, "rules": ["x"]}';
    await reload();
    delete (files as Record<string, string>).f;
    await reload();
    assertEquals(updates, []);
    const problems = records.map((it) => "problems" in it && it.problems);
    assertEquals(problems.map((it) => it && it.length), [2, 1]);
    assertEquals(problems[1], ["f: no such file"]);
  }, {});
});

test("Reloader keeps the old configuration when the server refuses the new one", async () => {
  await withReloader(async ({ reload, refuse, records }) => {
    refuse(new OptionError("openProxy", "open", "open-proxy"));
    await reload();
    refuse(new Error("broken"));
    await reload();
    assertEquals(records.map(({ type }) => type), [
      "reload-failed",
      "reload-failed",
    ]);
    assertMatch(JSON.stringify(records), /--users-file.*broken/);
  }, { hostname: "0.0.0.0", users: [`a:${hash}`] });
});

test("Reloader says why the new configuration exposes the server", async () => {
  await withReloader(async ({ files, reload, refuse, records }) => {
    refuse(new OptionError("openProxy", "open", "open-proxy"));
    files.f = '{"proxyFrom": ["10.0.0.0/8"]}';
    await reload();
    files.f = '{"hostname": "127.0.0.1"}';
    await reload();
    const problems = records.map((it) => "problems" in it && it.problems[0]);
    assertMatch(`${problems[0]}`, /^a server behind a load balancer \(/);
    assertMatch(`${problems[1]}`, /^a server on 0\.0\.0\.0 without a login/);
  }, { hostname: "0.0.0.0", users: [`a:${hash}`] });
});

test("Reloader runs one reload after another", async () => {
  await withReloader(async ({ files, reload, updates }) => {
    files.f = '{"limits": {"sessions": 1}}';
    const first = reload();
    const second = reload();
    files.f = '{"limits": {"sessions": 2}}';
    await Promise.all([first, second]);
    assertEquals(updates.length, 2);
    assertEquals(updates[1].limits, { sessions: 2 });
  }, {});
});

// deno task serve --schema > src/cli/config/config.schema.json
test("config.schema.json is what --schema prints", () => {
  assertEquals(
    published as unknown,
    JSON.parse(JSON.stringify(configSchema())),
  );
});
