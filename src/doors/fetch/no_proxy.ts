/**
 * The environment variable NO_PROXY, which the runtimes apply even to a proxy that is
 * given to them as an option: requests to its hosts would be direct.
 *
 * @module
 */

/** Access to the environment of the process. */
export interface Environment {
  get(name: string): string | undefined;
  set(name: string, value: string): void;
  delete(name: string): void;
}

const NAMES = ["NO_PROXY", "no_proxy"];

/** Calls a function that ignores NO_PROXY; it must have read the environment on return. */
export function withoutNoProxy<T>(environment: Environment, call: () => T): T {
  const set = NAMES.flatMap((name) => {
    const value = environment.get(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  for (const [name] of set) environment.delete(name);
  try {
    return call();
  } finally {
    for (const [name, value] of set) environment.set(name, value);
  }
}
