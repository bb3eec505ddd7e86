/**
 * The resources that a program and its descendants use: processor time, memory,
 * descriptors. Read from `/proc` on Linux, and from `ps` on other systems.
 *
 * @module
 */

/** An entry of the process table. */
export interface Process {
  pid: number;
  parent: number;
  /** Processor time in seconds, including children that have exited. */
  cpu: number;
}

/** Clock ticks per second in `/proc`: the same on all architectures that Deno supports. */
const TICKS = 100;

const decoder = new TextDecoder();

/** Parses `/proc/PID/stat`; the name in it may contain spaces and parentheses. */
export function parseStat(text: string): Process {
  const rest = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const ticks = [11, 12, 13, 14].reduce((sum, i) => sum + Number(rest[i]), 0);
  return {
    pid: parseInt(text),
    parent: Number(rest[1]),
    cpu: ticks / TICKS,
  };
}

/** Parses a line of `ps -o pid=,ppid=,time=`; the time is `[[D-]H:]M:S[.CC]`. */
export function parsePs(line: string): Process {
  const [pid, parent, time] = line.trim().split(/\s+/);
  const [days, clock] = time.includes("-") ? time.split("-") : ["0", time];
  const seconds = clock.split(":").reduce(
    (sum, it) => sum * 60 + Number(it),
    0,
  );
  return {
    pid: Number(pid),
    parent: Number(parent),
    cpu: Number(days) * 86_400 + seconds,
  };
}

/** Parses a list of processors: `0-2,5` is 0, 1, 2 and 5. */
export function parseCpus(list: string): number[] {
  return list.split(",").flatMap((range) => {
    const [first, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

function processes(): Process[] {
  if (Deno.build.os !== "linux") {
    const lines = ps("-A", "-o", "pid=,ppid=,time=");
    return lines.map(parsePs);
  }
  const found: Process[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d/.test(name)) continue;
    const text = readIfThere(`/proc/${name}/stat`);
    if (text) found.push(parseStat(text));
  }
  return found;
}

/** Returns a process and its descendants. */
export function familyOf(pid: number, all: readonly Process[]): Process[] {
  const family = all.filter((it) => it.pid === pid);
  for (const { pid } of family) {
    family.push(...all.filter((it) => it.parent === pid));
  }
  return family;
}

/** Returns the ids of a process and its descendants. */
export function pidsOf(pid: number): number[] {
  return familyOf(pid, processes()).map((it) => it.pid);
}

/** Returns the processor time of a process and its descendants, in seconds. */
export function cpuOf(pid: number): number {
  return familyOf(pid, processes()).reduce((sum, it) => sum + it.cpu, 0);
}

/** Returns the resident memory in octets; shared memory counts for each process. */
export function memoryOf(pid: number): number {
  const pids = pidsOf(pid);
  if (Deno.build.os !== "linux") {
    return ps("-o", "rss=", "-p", pids.join(","))
      .reduce((sum, it) => sum + Number(it) * 1024, 0);
  }
  return pids.reduce((sum, it) => {
    const text = readIfThere(`/proc/${it}/status`) ?? "";
    return sum + Number(/^VmRSS:\s+(\d+)/m.exec(text)?.[1] ?? 0) * 1024;
  }, 0);
}

/** Returns the number of open descriptors; `undefined` if the system does not report it. */
export function descriptorsOf(pid: number): number | undefined {
  if (Deno.build.os !== "linux") return undefined;
  return pidsOf(pid).reduce((sum, it) => {
    try {
      return sum + Array.from(Deno.readDirSync(`/proc/${it}/fd`)).length;
    } catch {
      return sum; // it has exited
    }
  }, 0);
}

function ps(...args: string[]): string[] {
  const { stdout } = new Deno.Command("ps", { args }).outputSync();
  return decoder.decode(stdout).split("\n").filter((it) => it.trim() !== "");
}

function readIfThere(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}
