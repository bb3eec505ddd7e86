// Loads the npm package with require(): see scripts/check_package.ts.
const { connect, serve } = require("@x/socks5");
const server = require("@x/socks5/server");
const client = require("@x/socks5/client");

if (server.serve !== serve || typeof serve !== "function") {
  throw new Error("serve");
}
if (client.connect !== connect || typeof connect !== "function") {
  throw new Error("connect");
}
console.log("it works");
