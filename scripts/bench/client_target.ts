/**
 * The targets of the comparison of clients: prints their ports on 127.0.0.1 as JSON. The
 * arguments are the paths of a certificate and its key.
 *
 * @module
 */

const [certPath, keyPath] = Deno.args;
const cert = Deno.readTextFileSync(certPath);
const key = Deno.readTextFileSync(keyPath);
const local = { hostname: "127.0.0.1", port: 0 };
const plain = Deno.listen(local);
const secure = Deno.listenTls({ ...local, cert, key });

const RESPONSE = new TextEncoder().encode(
  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
);

/** Answers each request, all of which are without bodies. */
async function respond(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(4096);
  let matched = 0;
  try {
    for (let n; (n = await conn.read(buffer)) !== null;) {
      for (const octet of buffer.subarray(0, n)) {
        const isNext = octet === [13, 10, 13, 10][matched];
        matched = isNext ? matched + 1 : octet === 13 ? 1 : 0;
        if (matched < 4) continue;
        matched = 0;
        await conn.write(RESPONSE);
      }
    }
    conn.close();
  } catch {
    // The client has reset the connection.
  }
}

async function serve(listener: Deno.Listener): Promise<void> {
  for await (const conn of listener) void respond(conn);
}

console.log(
  JSON.stringify({ plain: plain.addr.port, secure: secure.addr.port }),
);
void serve(plain);
void serve(secure as unknown as Deno.Listener);
