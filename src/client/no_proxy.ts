/**
 * The targets that the environment excludes from proxies.
 *
 * @module
 */

import {
  canonicalHostname,
  cidrContains,
  type Endpoint,
  isIp,
  parseIp,
} from "../protocol/address.ts";

/**
 * Whether an entry of `NO_PROXY` matches the target. An entry that is malformed matches
 * nothing, so that it sends nothing around the proxy.
 */
export function isExcluded(list: string, target: Endpoint): boolean {
  if (list.trim() === "*") return true;
  return list.split(/[\s,]+/).some((entry) => matches(entry, target));
}

/** An IPv6 address in brackets or without, or another host; the port only after a host. */
const ENTRY = /^(?:\[([^\]]+)\](?::(\d+))?|([^:]+)(?::(\d+))?|(.+))$/;

function matches(entry: string, { hostname, port }: Endpoint): boolean {
  const [, bracketed, port6, plain, port4, ipv6] = ENTRY.exec(entry) ?? [];
  const host = bracketed ?? plain ?? ipv6;
  const digits = port6 ?? port4;
  if (host === undefined) return false;
  if (digits !== undefined && Number(digits) !== port) return false;
  const ip = parseIp(hostname);
  return ip ? isInBlock(ip, host) : isOfDomain(hostname, host);
}

/** As in curl, bits after the prefix do not have to be zero. */
function isInBlock(ip: Uint8Array, text: string): boolean {
  const [, address, digits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const network = address === undefined ? undefined : parseIp(address);
  if (network?.length !== ip.length) return false;
  const bits = 8 * ip.length;
  const prefix = digits === undefined ? bits : Number(digits);
  return prefix <= bits && cidrContains({ text, network, prefix }, ip);
}

/** Whether the name is the domain, which may begin with a dot, or one below it. */
function isOfDomain(hostname: string, domain: string): boolean {
  const name = canonicalHostname(domain.replace(/^\./, ""));
  if (name === undefined || isIp(name)) return false;
  return hostname === name || hostname.endsWith(`.${name}`);
}
