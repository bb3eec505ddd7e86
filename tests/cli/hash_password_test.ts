import { assert, assertEquals, assertMatch } from "@std/assert";
import { verifyPassword } from "../../src/server/auth/password_hash.ts";
import { test } from "../support/harness.ts";
import { runProgram } from "../support/spawn.ts";
import { noTerminal, openTerminal } from "../support/terminal.ts";
import { utf8 } from "../support/text.ts";

for (
  const [name, input, password] of [
    ["a line", "correct horse\n", "correct horse"],
    ["text without a line break", "secret", "secret"],
    ["the first line of many", "one\ntwo\n", "one"],
    ["a line that ends in CR LF", " pass word \r\n", " pass word "],
    ["bytes that are not UTF-8", Uint8Array.of(0xff, 0x80, 0x0a), null],
    ["UTF-8", "pässwörd🔑\n", "pässwörd🔑"],
    ["a line after a byte order mark", "\ufeffsecret\r\n", "secret"],
    ["255 bytes", "x".repeat(255) + "\n", "x".repeat(255)],
  ] as [string, string | Uint8Array, string | null][]
) {
  test(`socks5 hash-password hashes ${name} from a pipe`, async () => {
    const ended = await runProgram(["hash-password"], { input });
    assertEquals([ended.code, ended.stderr], [0, ""]);
    assertMatch(ended.stdout, /^\$pbkdf2-sha256\$\S+\n$/);
    const wanted = password ?? Uint8Array.of(0xff, 0x80);
    assert(await verifyPassword(wanted, ended.stdout.trimEnd()));
  });
}

for (const args of [["--user", "alice"], ["--user=alice"]]) {
  test(`socks5 hash-password ${args.join(" ")} prints a line of a users file`, async () => {
    const ended = await runProgram(["hash-password", ...args], { input: "s" });
    assertEquals([ended.code, ended.stderr], [0, ""]);
    const [, hash] = /^alice:(\$\S+)\n$/.exec(ended.stdout)!;
    assert(await verifyPassword("s", hash));
  });
}

for (
  const [args, input, code, message] of [
    [[], "", 1, /no password was given/],
    [[], "\n", 1, /no password was given/],
    [[], "x".repeat(256), 1, /at most 255 bytes/],
    [[], "hunter2\rx\n", 1, /the password has a carriage return within/],
    [[], "hunter2\0\n", 1, /the password has a control character/],
    [[], "hunter2\u0085\n", 1, /the password has a control character/],
    [["hunter2"], "x", 2, /hash-password takes only --user NAME/],
    [["--password=hunter2"], "x", 2, /not "--password"/],
    [["--user"], "x", 2, /--user must be 1 to 255 bytes/],
    [["--user", "a:hunter2"], "x", 2, /--user must be .* without ":"/],
    [["-secret2"], "x", 2, /not another argument/],
    [["--user", "#a"], "x", 2, /without a leading "#"/],
    [["--user", "a "], "x", 2, /and without surrounding white space/],
    [["--user", "a\nb"], "x", 2, /--user must be .* control characters/],
    [["--user", "a", "--user", "b"], "x", 2, /--user is given twice/],
  ] as [string[], string, number, RegExp][]
) {
  test(`socks5 hash-password ${JSON.stringify(args)} with ${input.length} bytes of input exits with ${code}`, async () => {
    const ended = await runProgram(["hash-password", ...args], { input });
    assertMatch(ended.stderr, /^socks5: .+\n$/);
    assertMatch(ended.stderr, message);
    assertEquals([ended.code, ended.stdout], [code, ""]);
    assert(!ended.stderr.includes("hunter2"));
  });
}

test("socks5 hash-password --help prints its usage", async () => {
  const { code, stdout } = await runProgram(["hash-password", "--help"]);
  assertEquals(code, 0);
  assertMatch(stdout, /^Usage: socks5 hash-password /);
});

interface Typed {
  code: number | null;
  /** The complete output of the terminal. */
  shown: string;
}

/**
 * Runs `hash-password` on a terminal, and `stty` after it. Types each text after
 * its prompt.
 */
async function type(keys: [prompt: string, keys: string][]): Promise<Typed> {
  const rest = [...keys];
  const command = (program: string) =>
    `${program} hash-password; code=$?; stty -a; exit $code`;
  const terminal = openTerminal(command, {
    onShown() {
      if (rest.length === 0 || !terminal.shown.endsWith(rest[0][0])) return;
      terminal.type(rest.shift()![1]);
    },
  });
  const code = await terminal.ended;
  return { code, shown: terminal.shown };
}

function assertRestored({ shown }: Typed): void {
  for (const mode of ["icanon", "echo", "isig"]) {
    assertMatch(shown, new RegExp(`(^|\\s)${mode}\\b`, "m"));
  }
}

for (
  const [name, first, again, password] of [
    ["a password", "hunter2\r", "hunter2\r", "hunter2"],
    ["corrections", "wrong\x15hunté\x7f3\x7f2\r", "hunt2\r", "hunt2"],
    ["UTF-8 and arrow keys", "\x1b[Dpä\x1b[3~ß\r", "päß\r", "päß"],
  ]
) {
  test(
    `socks5 hash-password reads ${name} from a terminal without showing it`,
    async () => {
      const typed = await type([["Password: ", first], ["Again: ", again]]);
      assertEquals(typed.code, 0);
      const [, shown, hash] = /^(Password: [^]*)(\$pbkdf2-sha256\S+)\r\n/.exec(
        typed.shown,
      )!;
      assertEquals(
        shown.replaceAll("\x07", "").replaceAll("\r", ""),
        "Password: \nAgain: \n",
      );
      assert(await verifyPassword(utf8(password), hash));
      assertRestored(typed);
    },
    { skip: noTerminal },
  );
}

test(
  "socks5 hash-password reads both lines of pasted text",
  async () => {
    const typed = await type([["Password: ", "hunter2\r\nhunter2\r\n"]]);
    assertEquals(typed.code, 0);
    assert(!typed.shown.includes("hunter2"));
    assertRestored(typed);
  },
  { skip: noTerminal },
);

const TWO_PASSWORDS: [string, string][] = [
  ["Password: ", "hunter2\r"],
  ["Again: ", "hunter3\r"],
];

test(
  "socks5 hash-password asks again on a terminal when the two passwords differ",
  async () => {
    const right: [string, string][] = [
      ["Password: ", "hunter4\r"],
      ["Again: ", "hunter4\r"],
    ];
    const typed = await type([...TWO_PASSWORDS, ...TWO_PASSWORDS, ...right]);
    assertEquals(typed.code, 0);
    const [hash] = /\$pbkdf2-sha256\S+/.exec(typed.shown)!;
    assert(await verifyPassword("hunter4", hash));
    assertEquals(typed.shown.split("The two passwords differ").length, 3);
    assert(!typed.shown.includes("hunter"));
    assertRestored(typed);
  },
  { skip: noTerminal },
);

test(
  "socks5 hash-password keeps what is pasted for its next question",
  async () => {
    const pasted = "hunter2\rhunter3\rhunter4\rhunter4\r";
    const typed = await type([["Password: ", pasted]]);
    assertEquals(typed.code, 0);
    const [hash] = /\$pbkdf2-sha256\S+/.exec(typed.shown)!;
    assert(await verifyPassword("hunter4", hash));
    assertRestored(typed);
  },
  { skip: noTerminal },
);

for (
  const [name, keys, code, message] of [
    ["Ctrl-C", [["Password: ", "hunter2\x03"]], 130, ""],
    [
      "Ctrl-C at the second prompt",
      [["Password: ", "hunter2\r"], ["Again: ", "\x03"]],
      130,
      "",
    ],
    ["Ctrl-D", [["Password: ", "\x04"]], 1, "no password was given"],
    ["nothing", [["Password: ", "\r"]], 1, "no password was given"],
    [
      "Ctrl-D at the second prompt",
      [["Password: ", "hunter2\r"], ["Again: ", "\x04"]],
      1,
      "the password was not repeated",
    ],
    [
      "two passwords, three times",
      Array.from({ length: 3 }, () => TWO_PASSWORDS).flat(),
      1,
      "the two passwords differ",
    ],
    [
      "two passwords and Ctrl-C",
      [...TWO_PASSWORDS, ["Password: ", "\x03"]],
      130,
      "The two passwords differ, once more.",
    ],
    [
      "two passwords and nothing",
      [...TWO_PASSWORDS, ["Password: ", "\r"]],
      1,
      "no password was given",
    ],
  ] as [string, [string, string][], number, string][]
) {
  test(
    `socks5 hash-password exits with ${code} after ${name} on a terminal`,
    async () => {
      const typed = await type(keys);
      assertEquals(typed.code, code);
      assert(typed.shown.includes(message));
      assert(!/hunter|\$pbkdf2/.test(typed.shown));
      assertRestored(typed);
    },
    { skip: noTerminal },
  );
}
