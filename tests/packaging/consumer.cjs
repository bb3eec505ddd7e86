// Loads the npm package with require(). See scripts/check_package.ts.
const { connect, serve } = require("@x/socks5");
const server = require("@x/socks5/server");
const client = require("@x/socks5/client");
const { socks5 } = require("@x/socks5/protocol");

if (server.serve !== serve || typeof serve !== "function") {
  throw new Error("serve");
}
if (client.connect !== connect || typeof connect !== "function") {
  throw new Error("connect");
}
if (typeof socks5.encodeRequest !== "function") {
  throw new Error("encodeRequest");
}
console.log("it works");
