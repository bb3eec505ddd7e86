/**
 * The interface of the standard streams.
 *
 * @module
 */

/** The standard streams as a runtime has them. */
export interface StandardStreams {
  /** Reads the next chunk; `null` at the end of the input. */
  read(): Promise<Uint8Array | null>;
  /** Resolves when all of the chunk is written. */
  write(chunk: Uint8Array): Promise<void>;
  /**
   * Closes the output, so that its reader sees the end while the input continues. Without
   * it, the end of the output ends the input as well.
   */
  readonly endOutput?: () => Promise<void>;
}
