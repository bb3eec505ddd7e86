/**
 * Starts another SOCKS server from npm, without a login. The arguments are its
 * folder, the name of its package and the port. It is JavaScript, because it runs
 * on every runtime.
 *
 * @module
 */

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, name, port] = process.argv.slice(2);
const require = createRequire(`${folder}/package.json`);
/** Loads a CommonJS package, which not every runtime can import, or an ES module. */
async function load() {
  try {
    return require(name);
  } catch (error) {
    if (error.code !== "ERR_REQUIRE_ESM") throw error;
    return await import(pathToFileURL(require.resolve(name)).href);
  }
}

const module = await load();
const api = { ...module.default, ...module };

const quiet = () => {};

const servers = {
  "@heroku/socksv5"() {
    const server = api.createServer((_info, accept) => accept());
    server.useAuth(api.auth.None());
    return server;
  },
  "@pondwader/socks5-server": () => api.createServer(),
  "node-socks5-server": () =>
    api.createServer({
      logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    }),
  "simple-socks"() {
    const server = api.createServer();
    server.on("proxyError", quiet);
    return server;
  },
};

servers[name]().listen(Number(port), "127.0.0.1");
