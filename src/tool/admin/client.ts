/**
 * The client of the Admin API.
 *
 * @module
 */

import { EXIT } from "../../cli/failure.ts";
import { toNetError } from "../../transport/errors.ts";
import { startTimeout, type Timeout } from "../../transport/timeouts.ts";
import { ToolError } from "../commands/failure.ts";
import type { AdminPlace } from "./place.ts";

/** How long the server may take to answer, in milliseconds. */
const TIMEOUT = 15_000;
/** The longest answer, in bytes. */
const MAX_ANSWER = 2 ** 24;

/** Parameters of a request; those that are `undefined` are left out. */
export type Parameters = Readonly<Record<string, string | undefined>>;

/** There is no such thing. */
export class AbsentError extends ToolError {}

/** Sends requests to an admin listener. */
export class AdminClient {
  readonly #place: AdminPlace;
  readonly #timeout: number;

  /** `timeout` is how long an answer may take, in milliseconds. */
  constructor(place: AdminPlace, timeout: number = TIMEOUT) {
    this.#place = place;
    this.#timeout = timeout;
  }

  /**
   * Sends a request, and resolves with the answer, which has the given member.
   *
   * @throws {ToolError} if the server is not there, or refuses.
   */
  async ask<T>(
    method: "GET" | "DELETE" | "POST",
    path: string,
    member: keyof T & string,
    parameters: Parameters = {},
  ): Promise<T> {
    const given = Object.entries(parameters).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value]]
    );
    const query = `${new URLSearchParams(given)}`;
    const { status, text } = await this.#send(
      method,
      query === "" ? path : `${path}?${query}`,
    );
    const answer = parse(text);
    if (status === 200 && answer && member in answer) return answer as T;
    throw this.#refusal(status, answer);
  }

  async #send(
    method: string,
    path: string,
  ): Promise<{ status: number; text: string }> {
    const { request } = await import("node:http");
    const { to, token } = this.#place;
    const headers = {
      host: "localhost",
      connection: "close",
      ...token !== undefined && { authorization: `Bearer ${token}` },
    };
    let late: Timeout | undefined;
    try {
      return await new Promise((resolve, reject) => {
        const options = { method, path, headers, agent: false, ...to };
        const sent = request(options, async (response) => {
          try {
            const text = await readAll(response);
            resolve({ status: response.statusCode ?? 0, text });
          } catch (error) {
            reject(error);
          }
        });
        // Until the end of the answer, which may come byte by byte.
        late = startTimeout(this.#timeout, () => {
          const error = new Error("no answer in time");
          sent.destroy(error);
          reject(error);
        });
        sent.on("error", reject).end();
      });
    } catch (error) {
      throw this.#noAnswer(error);
    } finally {
      late?.cancel();
    }
  }

  #noAnswer(error: unknown): ToolError {
    const { message } = toNetError(error);
    return new ToolError(
      `no answer from ${this.#place.text} (${message}): is the server running, with ` +
        `--admin there?`,
    );
  }

  #refusal(status: number, answer: unknown): ToolError {
    const { error } = (answer ?? {}) as { readonly error?: unknown };
    if (typeof error !== "string") {
      return new ToolError(
        `${this.#place.text} is not the --admin of a socks5 server`,
      );
    }
    if (status === 404) return new AbsentError(error);
    if (status === 400) return new ToolError(error, EXIT.usage);
    return new ToolError(
      status === 401
        ? `${error}: give --token-file FILE, or the URL that the server has printed`
        : error,
    );
  }
}

async function readAll(
  chunks: AsyncIterable<Uint8Array>,
): Promise<string> {
  const decoder = new TextDecoder();
  let [text, length] = ["", 0];
  for await (const chunk of chunks) {
    length += chunk.length;
    if (length > MAX_ANSWER) throw new Error("the answer is too long");
    text += decoder.decode(chunk, { stream: true });
  }
  return text;
}

function parse(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
