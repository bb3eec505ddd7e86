import { assertEquals } from "@std/assert";
import * as protocol from "../../src/protocol/mod.ts";
import { test } from "../support/harness.ts";

/** The values that the entry and its namespaces export; types have no value. */
const names: [name: string, exports: object, names: string[]][] = [
  ["./protocol", protocol, [
    "ProtocolError",
    "address",
    "chap",
    "datagram",
    "formatEndpoint",
    "gssapi",
    "httpBasic",
    "httpConnect",
    "isIp",
    "parseEndpoint",
    "password",
    "proxyHeader",
    "reply",
    "socks4",
    "socks5",
  ]],
  ["address", protocol.address, [
    "canonicalHostname",
    "cidrContains",
    "cidrFault",
    "decodeAddress",
    "embeddedIpv4",
    "encodeAddress",
    "formatEndpoint",
    "formatIp",
    "isHostname",
    "isIp",
    "isLoopback",
    "isSpecialPurpose",
    "isUnspecified",
    "parseCidr",
    "parseEndpoint",
    "parseIp",
    "unmapIp",
  ]],
  ["chap", protocol.chap, [
    "ALGORITHM",
    "ATTRIBUTE",
    "decodeMessage",
    "encodeMessage",
    "findAttribute",
  ]],
  ["datagram", protocol.datagram, [
    "MAX_DATAGRAM",
    "Reassembler",
    "decodeDatagram",
    "encodeDatagram",
    "encodeDatagramHeader",
    "maxPayload",
  ]],
  ["gssapi", protocol.gssapi, [
    "HEADER_SIZE",
    "MAX_TOKEN",
    "MESSAGE",
    "dataMessageSize",
    "decodeMessage",
    "encodeMessage",
    "writeHeader",
  ]],
  ["httpBasic", protocol.httpBasic, [
    "decodeCredentials",
    "encodeCredentials",
  ]],
  ["httpConnect", protocol.httpConnect, [
    "MAX_HEAD",
    "decodeRequest",
    "decodeResponse",
    "encodeRequest",
    "encodeResponse",
    "replyOfStatus",
    "responseDecoder",
    "statusOfReply",
    "statusText",
  ]],
  ["password", protocol.password, [
    "decodeLogin",
    "decodeLoginStatus",
    "encodeLogin",
    "encodeLoginStatus",
  ]],
  ["proxyHeader", protocol.proxyHeader, [
    "MAX_PROXY_HEADER",
    "decodeProxyHeader",
    "encodeProxyHeader",
  ]],
  ["reply", protocol.reply, ["REPLY", "REPLY4", "replyText"]],
  ["socks4", protocol.socks4, [
    "COMMAND",
    "MAX_USER_ID",
    "decodeReply",
    "decodeRequest",
    "encodeReply",
    "encodeRequest",
  ]],
  ["socks5", protocol.socks5, [
    "COMMAND",
    "METHOD",
    "decodeGreeting",
    "decodeMethodChoice",
    "decodeReply",
    "decodeRequest",
    "encodeGreeting",
    "encodeMethodChoice",
    "encodeReply",
    "encodeRequest",
  ]],
];

for (const [name, exports, expected] of names) {
  test(`the exports of ${name} are as documented`, () => {
    assertEquals(Object.keys(exports).sort(), expected);
  });
}
