/**
 * The target of a WebSocket, for short messages.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

/** Accepts a WebSocket with its first subprotocol, and echoes short messages. */
export function onUpgrade(request: IncomingMessage, socket: Duplex): void {
  const { headers } = request;
  const key = headers["sec-websocket-key"];
  const protocol = headers["sec-websocket-protocol"]?.split(",")[0];
  const accept = createHash("sha1").update(key + GUID).digest("base64");
  socket.on("error", () => {});
  socket.write([
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Accept: ${accept}`,
    ...protocol ? [`Sec-WebSocket-Protocol: ${protocol}`] : [],
    "\r\n",
  ].join("\r\n"));
  let got = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    got = Buffer.concat([got, chunk]);
    // A frame (RFC 6455 section 5.2) with a mask and at most 125 bytes
    while (got.length >= 6 && got.length >= 6 + (got[1] & 0x7f)) {
      const [first, length, mask] = [got[0], got[1] & 0x7f, got.subarray(2, 6)];
      const payload = got.subarray(6, 6 + length).map((it, i) =>
        it ^ mask[i % 4]
      );
      got = got.subarray(6 + length);
      socket.write(Buffer.concat([Buffer.of(first, length), payload]));
      if ((first & 0x0f) === 8) socket.end();
    }
  });
}

/** RFC 6455 section 1.3 */
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
