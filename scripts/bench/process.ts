/**
 * What a program and all that it has started cost: processor time, memory,
 * descriptors. From `/proc` on Linux, from `ps` elsewhere.
 *
 * @module
 */

/** A line of the table of processes. */
export interface Process {
  pid: number;
  parent: number;
  /** Seconds of processor time, also of children that have ended. */
  cpu: number;
}

/** Clock ticks per second in `/proc`: the same on all architectures that Deno runs on. */
const TICKS = 100;

const decoder = new TextDecoder();

/** Reads `/proc/PID/stat`; a name in it may hold spaces and parentheses. */
export function parseStat(text: string): Process {
  const rest = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const ticks = [11, 12, 13, 14].reduce((sum, i) => sum + Number(rest[i]), 0);
  return {
    pid: parseInt(text),
    parent: Number(rest[1]),
    cpu: ticks / TICKS,
  };
}

/** Reads a line of `ps -o pid=,ppid=,time=`, where the time is `[[D-]H:]M:S[.CC]`. */
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

/** Reads a list of processors: `0-2,5` is 0, 1, 2 and 5. */
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

/** A process and all that descend from it. */
export function familyOf(pid: number, all: readonly Process[]): Process[] {
  const family = all.filter((it) => it.pid === pid);
  for (const { pid } of family) {
    family.push(...all.filter((it) => it.parent === pid));
  }
  return family;
}

/** The pids of a program and of all that it has started. */
export function pidsOf(pid: number): number[] {
  return familyOf(pid, processes()).map((it) => it.pid);
}

/** Seconds of processor time that a program and all that it has started have used. */
export function cpuOf(pid: number): number {
  return familyOf(pid, processes()).reduce((sum, it) => sum + it.cpu, 0);
}

/** Octets of memory that are resident; what processes share counts for each. */
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

/** How many descriptors are open, or `undefined` where that cannot be known. */
export function descriptorsOf(pid: number): number | undefined {
  if (Deno.build.os !== "linux") return undefined;
  return pidsOf(pid).reduce((sum, it) => {
    try {
      return sum + Array.from(Deno.readDirSync(`/proc/${it}/fd`)).length;
    } catch {
      return sum; // it has ended
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
