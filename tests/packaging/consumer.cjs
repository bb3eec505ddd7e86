// Loads the npm package with require(). See scripts/check_package.ts.
const { connect, serve } = require("@x/socks5");
const server = require("@x/socks5/server");
const client = require("@x/socks5/client");
const { socks5 } = require("@x/socks5/protocol");
const { exports: entries, name } = require("@x/socks5/package.json");

if (server.serve !== serve || typeof serve !== "function") {
  throw new Error("serve");
}
if (client.connect !== connect || typeof connect !== "function") {
  throw new Error("connect");
}
if (typeof socks5.encodeRequest !== "function") {
  throw new Error("encodeRequest");
}
for (const entry of Object.keys(entries)) {
  if (entry === "./register") continue; // which ends a process without a proxy
  if (Object.keys(require(name + entry.slice(1))).length === 0) {
    throw new Error(`${entry} is empty`);
  }
}
console.log("it works");
