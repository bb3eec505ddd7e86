/**
 * A minimal client for a SOCKS5 proxy without a login.
 *
 * @module
 */

/** The address of a listener. */
export interface Endpoint {
  hostname: string;
  port: number;
}

const GREETING = Uint8Array.of(5, 1, 0);

/** Encodes a request; `command` is 1 for CONNECT, 2 for BIND, 3 for UDP ASSOCIATE. */
export function encodeRequest(
  command: 1 | 2 | 3,
  { hostname, port }: Endpoint,
): Uint8Array<ArrayBuffer> {
  const isAddress = /^[\d.]+$/.test(hostname);
  const host = isAddress
    ? [1, ...hostname.split(".").map(Number)]
    : [3, hostname.length, ...new TextEncoder().encode(hostname)];
  return Uint8Array.of(5, command, 0, ...host, port >> 8, port & 255);
}

/** Reads until the buffer contains `length` octets; it already contains `have`. */
export async function readFully(
  conn: Deno.Conn,
  buffer: Uint8Array,
  length: number,
  have = 0,
): Promise<void> {
  while (have < length) {
    const count = await conn.read(buffer.subarray(have));
    if (count === null) {
      throw new Deno.errors.UnexpectedEof("the peer closed early");
    }
    have += count;
  }
}

export async function writeFully(
  conn: Deno.Conn,
  octets: Uint8Array,
): Promise<void> {
  let written = 0;
  while (written < octets.length) {
    written += await conn.write(octets.subarray(written));
  }
}

/** Connects to a proxy on this machine, sends a request, and returns the bound address. */
export async function openThrough(
  proxyPort: number,
  request: Uint8Array,
): Promise<{ conn: Deno.TcpConn; bound: Endpoint }> {
  const conn = await connectTo(proxyPort);
  try {
    return { conn, bound: await handshake(conn, request) };
  } catch (error) {
    conn.close();
    throw error;
  }
}

/** Connects to a port of this machine. */
export async function connectTo(port: number): Promise<Deno.TcpConn> {
  return await Deno.connect({ hostname: "127.0.0.1", port });
}

/** Sends a request over a connection to a proxy, and returns the bound address. */
export async function handshake(
  conn: Deno.Conn,
  request: Uint8Array,
): Promise<Endpoint> {
  const reply = new Uint8Array(262);
  await conn.write(GREETING);
  await readFully(conn, reply.subarray(0, 2), 2);
  if (reply[0] !== 5 || reply[1] !== 0) {
    throw new Error(`method ${reply[1]} instead of none`);
  }
  await conn.write(request);
  return await readReply(conn, reply);
}

async function readReply(
  conn: Deno.Conn,
  reply: Uint8Array,
): Promise<Endpoint> {
  // Most replies have an IPv4 address, so one read is enough for most.
  await readFully(conn, reply.subarray(0, 10), 10);
  if (reply[0] !== 5 || reply[1] !== 0) throw new Error(`reply ${reply[1]}`);
  const length = reply[3] === 1 ? 10 : reply[3] === 4 ? 22 : 7 + reply[4];
  if (length > 10) {
    await readFully(conn, reply.subarray(0, length), length, 10);
  }
  const port = reply[length - 2] << 8 | reply[length - 1];
  const isAny = reply[3] !== 1 || reply.subarray(4, 8).every((it) => it === 0);
  const hostname = isAny ? "127.0.0.1" : reply.subarray(4, 8).join(".");
  return { hostname, port };
}
