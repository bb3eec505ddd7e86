/**
 * The shape of the package `koffi`.
 *
 * @module
 */

/** The members of the package `koffi` that are used here. */
export interface Koffi {
  /** Opens a library. */
  load(path: string): KoffiLibrary;
}

/** A library that `koffi` has opened. */
export interface KoffiLibrary {
  /** Returns one of its functions. */
  func(name: string, result: string, args: string[]): KoffiFunction;
}

/** A function of a {@linkcode KoffiLibrary}. */
export interface KoffiFunction {
  /** Calls it. */
  (...args: unknown[]): unknown;
  /** Calls it on another thread. */
  async(...args: unknown[]): void;
}
