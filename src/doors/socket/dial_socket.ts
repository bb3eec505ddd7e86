/**
 * Open sockets through proxies.
 *
 * @module
 */

import type { Socket } from "node:net";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import type { Hops } from "../../client/hops.ts";
import { parseTarget } from "../../client/target.ts";
import type { Endpoint } from "../../protocol/address.ts";
import { checkKeys } from "../../transport/check_keys.ts";
import { Dial, type DialBounds } from "./dial.ts";
import { DOOR_KEYS, type DoorOptions, Route } from "./route.ts";
import { createSocket, openRaw } from "./socks_socket.ts";
