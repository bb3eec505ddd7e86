// An application that uses the package and has arguments of its own. It is bundled with all that
// the package exports, see scripts/check_package.ts. Its output must be all that the bundle prints.
import process from "node:process";
import { connect } from "@x/socks5/client";
import { serve, userPass } from "@x/socks5/server";
import * as entries from "./entries.js";

// No top-level await: rollup puts modules that are loaded lazily after this one.
main();

async function main() {
  const auth = [userPass({ alice: "wonderland" })];
  const proxy = await serve({ port: 0, auth });
  const target = await serve({ port: 0 });
  const url = `socks5://alice:wonderland@127.0.0.1:${proxy.addr.port}`;
  const conn = await connect(url, target.addr);
  conn.close();
  await proxy.shutdown();
  await target.shutdown();

  const args = process.argv.slice(2);
  console.log(`${Object.keys(entries)} with ${args.join(" ")}`);
}
