/**
 * The interface of a connection to Redis.
 *
 * @module
 */

/**
 * Sends commands to Redis over one connection, so that they are executed in order.
 * `Bun.RedisClient` is one; for others it takes an object with one method.
 *
 * @example A connection of `ioredis`
 * ```ts
 * import type { RedisClient } from "@x/socks5/redis";
 *
 * interface IORedis {
 *   call(command: string, ...args: string[]): Promise<unknown>;
 * }
 * const wrap = (redis: IORedis): RedisClient => ({
 *   send: (command, args) => redis.call(command, ...args),
 * });
 * console.log(typeof wrap);
 * ```
 */
export interface RedisClient {
  /**
   * Sends a command. Resolves with the reply: a string, a number, `null`, or an array
   * of them. Rejects if Redis replies with an error, which is the beginning of the
   * message then (such as `NOSCRIPT …`), or if there is no connection. A client should
   * not queue commands until it has one.
   */
  send(command: string, args: string[]): Promise<unknown>;
}

/** A client that is made here. */
export interface OwnClient extends RedisClient {
  /** Rejects if Redis cannot be reached, or refuses the login. */
  connect(): Promise<unknown>;
  /** Ends the connection, also while it is being established. */
  close(): void;
}
