/**
 * A registry on loopback that has this package as users get it: from npm the tarball,
 * from JSR the published files. So the commands of the README run as they are written,
 * before the package is published.
 *
 * @module
 */

import { basename, join, relative } from "node:path";
import { files, root } from "../files.ts";
import { type Config, stage } from "../stage.ts";

/** The answers of the registry, by the path of the request. */
type Pages = Map<
  string,
  { type: string; body: string | Uint8Array<ArrayBuffer> }
>;

/** A registry that listens. */
export interface Registry extends AsyncDisposable {
  /** Its address, which ends with a slash. */
  url: string;
}

const JSON_TYPE = "application/json";

/** A package on JSR: its files by their paths, which begin with a slash. */
interface JsrPackage {
  name: string;
  version: string;
  exports: Record<string, string>;
  files: Map<string, string>;
}

/** Serves the tarball of the npm package, and the files for JSR. */
export async function serveRegistry(tarball: string): Promise<Registry> {
  const pages: Pages = new Map();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    ({ url }) => {
      const path = decodeURIComponent(new URL(url).pathname);
      const page = pages.get(path);
      if (page === undefined) return new Response(null, { status: 404 });
      const headers = { "content-type": page.type };
      return new Response(page.body, { headers });
    },
  );
  const url = `http://127.0.0.1:${server.addr.port}/`;
  await addTarball(pages, tarball, url);
  for (const it of [await ownPackage(), await standardCli()]) {
    await addJsr(pages, it);
  }
  return { url, [Symbol.asyncDispose]: () => server.shutdown() };
}

async function addTarball(
  pages: Pages,
  tarball: string,
  url: string,
): Promise<void> {
  const json = JSON.parse(
    await Deno.readTextFile(join(root, "npm", "package.json")),
  );
  const { name, version } = json;
  const body = await Deno.readFile(tarball);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-512", body));
  const path = `/${name}/-/${basename(tarball)}`;
  const dist = {
    tarball: new URL(path, url).href,
    integrity: `sha512-${digest.toBase64()}`,
  };
  const packument = {
    name,
    "dist-tags": { latest: version },
    versions: { [version]: { ...json, dist } },
  };
  pages.set(path, { type: "application/octet-stream", body });
  pages.set(`/${name}`, { type: JSON_TYPE, body: JSON.stringify(packument) });
}

/** Returns this package with the imports that `deno publish` writes. */
async function ownPackage(): Promise<JsrPackage> {
  let config: Config | undefined;
  await using staged = await stage((it) => {
    config = it;
  });
  const { name, version, exports, imports } = config!;
  const found = new Map<string, string>();
  for await (const path of files(staged.folder)) {
    let text = await Deno.readTextFile(path);
    for (const [from, to] of Object.entries(imports)) {
      text = text.replaceAll(`"${from}`, `"${to}`);
    }
    found.set(`/${relative(staged.folder, path)}`, text);
  }
  return { name, version, exports, files: found };
}

/** Returns the stand-in of `@std/cli`, the only package that ours imports. */
async function standardCli(): Promise<JsrPackage> {
  const path = join(root, "scripts", "standins", "parse_args.ts");
  return {
    name: "@std/cli",
    version: "1.999.0",
    exports: { "./parse-args": "./parse_args.ts" },
    files: new Map([["/parse_args.ts", await Deno.readTextFile(path)]]),
  };
}

async function addJsr(pages: Pages, it: JsrPackage): Promise<void> {
  const [scope, name] = it.name.slice(1).split("/");
  const manifest: Record<string, { size: number; checksum: string }> = {};
  for (const [path, text] of it.files) {
    const octets = new TextEncoder().encode(text);
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", octets));
    const checksum = `sha256-${hash.toHex()}`;
    manifest[path] = { size: octets.length, checksum };
    const type = path.endsWith(".ts") ? "application/typescript" : "text/plain";
    pages.set(`/${it.name}/${it.version}${path}`, { type, body: text });
  }
  const latest = it.version;
  const meta = { scope, name, latest, versions: { [latest]: {} } };
  const details = { manifest, exports: it.exports };
  for (const [path, page] of [["meta", meta], [`${latest}_meta`, details]]) {
    const body = JSON.stringify(page);
    pages.set(`/${it.name}/${path}.json`, { type: JSON_TYPE, body });
  }
}
