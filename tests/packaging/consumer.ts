/**
 * A program that uses the npm package. scripts/check_package.ts type-checks it
 * without any other types and runs it on every runtime.
 *
 * @module
 */

import { connect, serve } from "@x/socks5";
import * as client from "@x/socks5/client";
import { socks5 } from "@x/socks5/protocol";
import * as server from "@x/socks5/server";

if (client.connect !== connect) throw new Error("two clients");
if (server.serve !== serve) throw new Error("two servers");

// @ts-expect-error: the package has types, so the compiler rejects this.
export const refused = () => serve({ port: "1080" });
// @ts-expect-error: likewise.
export const refusedToo = () => connect({ nothing: true }, "example.com");

const proxy = await serve({ port: 0 });
// The target is another SOCKS server: it answers a greeting with the method of its choice.
const target = await serve({ port: 0 });
const conn = await connect(`socks5://127.0.0.1:${proxy.addr.port}`, {
  hostname: "127.0.0.1",
  port: target.addr.port,
});
const writer = conn.writable.getWriter();
await writer.write(socks5.encodeGreeting([socks5.METHOD.none]));
const reader = conn.readable.getReader();
const { value } = await reader.read();
if (String(value) !== "5,0") throw new Error(`the target answered ${value}`);
await writer.close();
await reader.cancel();
await proxy.shutdown();
await target.shutdown();
console.log("it works");
