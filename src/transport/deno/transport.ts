/**
 * {@linkcode Transport} over `Deno.listen` and `Deno.connect`; `--allow-net` is
 * all the permission it needs.
 *
 * @module
 */

import { DenoConn, type DenoSocket, relay } from "./conn.ts";
import { datagrams, type DenoUdp, sourceAddress } from "./datagrams.ts";
import { lookup } from "../common/lookup.ts";
import { startTimeout } from "../timeouts.ts";
import { abortError, NetError, toConnectError, toNetError } from "../errors.ts";
import type {
  Address,
  Conn,
  ConnectOptions,
  Listener,
  ListenOptions,
  Transport,
} from "../transport.ts";
import { checkPort, plainAddress, plainHostname } from "../common/checks.ts";
import type { AbortSignalLike } from "../signal.ts";

/** The members of `Deno` that are used here. */
export interface DenoNet extends DenoUdp {
  /** Binds and listens at once, or throws. With `reusePort` it ends the process, unless `--unstable-net` was given. */
  listen(
    options: { hostname: string; port: number; reusePort?: boolean },
  ): DenoListener;
  /** Connects; a signal that fires frees the descriptor. */
  connect(
    options: { hostname: string; port: number; signal?: AbortSignal },
  ): Promise<DenoSocket>;
  /** All addresses of this machine; needs the permission. */
  networkInterfaces(): { address: string }[];
  /** Tells what is permitted. */
  readonly permissions: {
    querySync(
      wanted: { name: "sys"; kind: "networkInterfaces" },
    ): { state: string };
  };
}

/** The members of `Deno.TcpListener` that are used here. */
export interface DenoListener {
  /** Where it listens. */
  readonly addr: Address;
  /** The next connection. */
  accept(): Promise<DenoSocket>;
  /** Makes a waiting `accept` reject. */
  close(): void;
}

const deno = (globalThis as unknown as { Deno: DenoNet }).Deno;

/** Milliseconds until accepting is tried again after it failed. */
const ACCEPT_PAUSE = 50;

function listen(
  options: ListenOptions,
  onConn: (conn: Conn) => void,
  onError?: (error: NetError) => void,
): Promise<Listener> {
  const hostname = plainHostname(options.hostname);
  const { port, reusePort } = options;
  return new Promise((resolve, reject) => {
    try {
      if (reusePort && !canReusePort()) throw noReusePort();
      const native = deno.listen(
        reusePort ? { hostname, port, reusePort } : { hostname, port },
      );
      resolve(listener(native, onConn, onError));
    } catch (error) {
      reject(toNetError(error));
    }
  });
}

/** Whether `--unstable-net` was given: only then is there this function. */
export function canReusePort(): boolean {
  return "listenDatagram" in deno;
}

function noReusePort(): NetError {
  return new NetError(
    "invalid",
    "Deno shares ports only with the flag --unstable-net",
  );
}

function listener(
  native: DenoListener,
  onConn: (conn: Conn) => void,
  onError?: (error: NetError) => void,
): Listener {
  let open = true;
  let wake = () => {};
  const accept = async () => {
    while (open) {
      let socket: DenoSocket;
      try {
        socket = await native.accept();
      } catch (error) {
        if (!open) return;
        const failure = toNetError(error);
        // Only this client is gone, before it was accepted. A pause would let
        // anyone who connects and resets hold up all others.
        if (failure.kind === "reset") continue;
        onError?.(failure);
        await new Promise<void>((resolve) => {
          const pause = startTimeout(ACCEPT_PAUSE, resolve);
          wake = () => {
            pause.cancel();
            resolve();
          };
        });
        continue;
      }
      onConn(new DenoConn(socket));
    }
  };
  const accepting = accept();
  void loadLater();
  return {
    addr: plainAddress(native.addr.hostname, native.addr.port),
    close() {
      if (open) native.close();
      open = false;
      wake();
      return accepting;
    },
  };
}

/** Deno panics when it has to load a module and no descriptor is left. */
async function loadLater(): Promise<void> {
  await import("../node/transport.ts");
  if (!canReusePort()) await import("../node/datagrams.ts");
}

async function connect(options: ConnectOptions): Promise<Conn> {
  if (options.localAddress) return connectFrom(options);
  const { port, signal } = options;
  checkPort(port);
  if (signal?.aborted) throw abortError(signal);
  const hostname = plainHostname(options.hostname);
  const lent = signal && lendController(signal);
  try {
    const to = { hostname, port, signal: lent?.controller.signal };
    return new DenoConn(await deno.connect(to));
  } catch (error) {
    throw signal?.aborted ? abortError(signal) : toConnectError(error);
  } finally {
    lent?.giveBack();
  }
}

/** Connects through `node:net`, which can choose the address to connect from, as `Deno.connect` cannot. */
async function connectFrom(options: ConnectOptions): Promise<Conn> {
  const { nodeTransport } = await import("../node/transport.ts");
  try {
    return await nodeTransport.connect(options);
  } catch (error) {
    const { message, cause } = error as NetError;
    // That is what it calls an address that is not of this machine.
    const { code } = (cause ?? {}) as { code?: unknown };
    if (code !== "EINVAL") throw error;
    throw new NetError("addr-not-available", message, cause);
  }
}

/** Controllers whose signals have not fired: a kilobyte that not every attempt has to make anew. */
const controllers: AbortController[] = [];

/** A controller that fires with a signal until it is given back. */
function lendController(signal: AbortSignalLike) {
  const controller = controllers.pop() ?? new AbortController();
  const onAbort = () => controller.abort();
  signal.addEventListener("abort", onAbort);
  const giveBack = () => {
    signal.removeEventListener("abort", onAbort);
    if (!controller.signal.aborted) controllers.push(controller);
  };
  return { controller, giveBack };
}

/** None without the permission: asking would make it ask for it. */
function ownAddresses(): string[] {
  const wanted = { name: "sys", kind: "networkInterfaces" } as const;
  if (deno.permissions.querySync(wanted).state !== "granted") return [];
  return deno.networkInterfaces().map(({ address }) => address);
}

/** Deno. */
export const denoTransport: Transport = {
  name: "deno",
  listen,
  connect,
  relay,
  datagrams,
  sourceAddress,
  lookup,
  ownAddresses,
};
