/**
 * WebSockets of Deno by another name.
 *
 * Before each connection through a proxy, the client of Deno asks the local resolver for the
 * name in the URL, to apply `--deny-net` to its addresses. The URL that it gets here therefore
 * has the address of a proxy in this process in place of the name, and the login at this proxy
 * tells it the target.
 *
 * @module
 */

import type { Endpoint } from "../../protocol/address.ts";
import { NetError } from "../../transport/errors.ts";
import { targetOf } from "./failures.ts";
import { type Environment, withoutNoProxy } from "./no_proxy.ts";
import type { WebSocketOptions } from "./options.ts";

export { targetOf };

/** TLS to a target, as `Deno.createHttpClient()` has it. All are in PEM. */
export interface AliasTls {
  /** Certificates of additional authorities. */
  readonly caCerts?: readonly string[];
  /** The client's certificate. */
  readonly cert?: string;
  /** Its private key. */
  readonly key?: string;
}

/** Where a WebSocket leads. */
export interface Alias {
  readonly target: Endpoint;
  /** Whether the target speaks TLS. Deno itself does not. */
  readonly isSecure: boolean;
  /** The settings for that, if the program has given any. */
  readonly tls?: AliasTls;
  /** Aborted when the WebSocket is closed. */
  readonly signal: AbortSignal;
  /** Why the target could not be reached. */
  error?: unknown;
}

/** A client of Deno. */
export interface HttpClient {
  close(): void;
}

/** The members of `Deno` that are used here. */
interface DenoClients {
  createHttpClient(options: {
    readonly allowHost: boolean;
    readonly proxy: { readonly url: string };
  }): HttpClient;
  readonly env: Environment;
  readonly errors: { readonly NotCapable: new (message: string) => Error };
  readonly permissions: {
    requestSync(
      permission: { readonly name: "net"; readonly host: string },
    ): { readonly state: string };
  };
}

const { Deno } = globalThis as unknown as { Deno?: DenoClients };
// `register` replaces it.
const createHttpClient = Deno?.createHttpClient;

/** The options of a native WebSocket. */
interface NativeOptions extends WebSocketOptions {
  readonly client: HttpClient;
}

/** The aliases whose proxy has not been asked for the target yet. */
export class Aliases {
  readonly #waiting = new Map<string, Alias>();

  /** Whether there is an alias with this login. */
  has(username: string): boolean {
    return this.#waiting.has(username);
  }

  /**
   * Connects to the target of a login, which is valid for one connection only. Keeps the error
   * in the alias.
   */
  async connect<T>(
    username: string | undefined = "",
    reach: (alias: Alias) => Promise<T>,
  ): Promise<T> {
    const alias = this.#waiting.get(username);
    this.#waiting.delete(username);
    if (!alias) throw new NetError("denied", "the login has been used");
    try {
      return await reach(alias);
    } catch (error) {
      alias.error = error;
      throw error;
    }
  }

  /** Makes all logins invalid. */
  clear(): void {
    this.#waiting.clear();
  }

  /** Returns a client for one connection, by the proxy on this port of 127.0.0.1. */
  client(alias: Alias, port: number): [client: HttpClient, username: string] {
    // The name alone is the secret; a password must not be empty (RFC 1929 section 2).
    const username = crypto.randomUUID();
    const url = `socks5h://${username}:-@127.0.0.1:${port}`;
    const client = withoutNoProxy(
      Deno!.env,
      () => createHttpClient!({ allowHost: true, proxy: { url } }),
    );
    this.#waiting.set(username, alias);
    return [client, username];
  }

  /**
   * Calls `create` with the arguments of the native WebSocket, which goes to the real URL by
   * the proxy on this port. The permissions are those that the real URL needs.
   *
   * @throws {DOMException} `SyntaxError` when the URL is invalid.
   */
  open<T extends WebSocket>(
    url: string,
    options: WebSocketOptions & Pick<Alias, "tls">,
    port: number,
    create: (url: string, options: NativeOptions, alias: Alias) => T,
  ): T {
    const { tls, ...init } = options;
    const real = parse(url);
    const target = targetOf(real.href);
    checkPermission(real, target);
    const isSecure = /^(wss|https):$/.test(real.protocol);
    const closing = new AbortController();
    const { signal } = closing;
    const alias: Alias = { target, isSecure, tls, signal };
    const headers = new Headers(init.headers);
    headers.set("host", real.host);
    const [client, username] = this.client(alias, port);
    try {
      const native = aliasUrl(real, port);
      const socket = create(native, { ...init, headers, client }, alias);
      showReal(socket, shownUrl(real, isSecure), alias);
      socket.addEventListener("close", () => {
        this.#waiting.delete(username);
        closing.abort(); // the bridge goes on dialing after the FIN of a client
      });
      return socket;
    } catch (error) {
      this.#waiting.delete(username);
      throw error;
    } finally {
      // The connection that has begun keeps what it needs.
      client.close();
    }
  }
}

function parse(url: string): URL {
  try {
    return new URL(url);
  } catch (error) {
    throw new DOMException((error as Error).message, "SyntaxError");
  }
}

/** As Deno does with the URL that it is given. */
function checkPermission(real: URL, { port }: Endpoint): void {
  const host = `${real.hostname}:${port}`;
  const { state } = Deno!.permissions.requestSync({ name: "net", host });
  if (state === "granted") return;
  throw new Deno!.errors.NotCapable(
    `Requires net access to "${host}", run again with the --allow-net flag`,
  );
}

/** With the user, the path and the fragment of the real one, which Deno uses or refuses. */
function aliasUrl(real: URL, port: number): string {
  const url = new URL(real);
  url.protocol = "ws:";
  url.hostname = "127.0.0.1";
  url.port = `${port}`;
  return url.href;
}

function shownUrl(real: URL, isSecure: boolean): string {
  const url = new URL(real);
  url.protocol = isSecure ? "wss:" : "ws:";
  url.username = url.password = "";
  return url.href;
}

/** Shows the real URL and the real error in place of those of the alias. */
function showReal(socket: WebSocket, url: string, alias: Alias): void {
  Object.defineProperty(socket, "url", { value: url });
  socket.addEventListener("message", (event) => {
    Object.defineProperty(event, "origin", { value: url });
  });
  socket.addEventListener("error", (event) => {
    const { error } = alias;
    if (!(error instanceof Error)) return;
    Object.defineProperties(event, {
      error: { value: error },
      message: { value: error.message },
    });
  });
}
