import { assertEquals } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { bin, packageJson } from "../../scripts/package_json.ts";
import { test } from "../support/harness.ts";

test("packageJson() exports every entry of deno.json, and itself", () => {
  const { exports } = packageJson(config);
  const own = ["./config.schema.json", "./package.json"];
  assertEquals(Object.keys(exports), [...Object.keys(config.exports), ...own]);
});

test("packageJson() has the types of every entry for resolvers that do not read exports", () => {
  const { exports, types, typesVersions } = packageJson(config);
  const entries = Object.entries(exports).flatMap(([name, it]) =>
    typeof it === "string" ? [] : [[name, it.types] as const]
  );
  const paths = typesVersions as Record<string, Record<string, string[]>>;
  const [, ...others] = entries.map(([name, it]) => [name.slice(2), [it]]);
  assertEquals(paths, { "*": Object.fromEntries(others) });
  assertEquals(types, entries[0][1]);
});

const fields = ["homepage", "bugs", "repository"];

test("packageJson() links to the repository of deno.json", () => {
  const repository = "https://example.com/x/socks5";
  const json = packageJson({ ...config, repository });
  assertEquals(fields.map((it) => json[it]), [
    `${repository}#readme`,
    { url: `${repository}/issues` },
    { type: "git", url: `git+${repository}.git` },
  ]);
});

test("packageJson() links to nothing when deno.json has no repository", () => {
  const json = packageJson({ ...config, repository: undefined });
  assertEquals(fields.filter((it) => it in json), []);
});

test("the command has the name of the package, as npx and bunx expect", () => {
  assertEquals(bin.name, config.name.replace(/^@[^/]+\//, ""));
});
