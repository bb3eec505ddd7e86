/**
 * Describes the machine, and assigns processors to the programs.
 *
 * @module
 */

import { cpus } from "node:os";
import { run } from "../run.ts";
import { parseCpus } from "./process.ts";

/** Returns the processor model, the number of cores, and the system. */
export async function describeMachine(): Promise<string> {
  const all = cpus();
  const model = all[0]?.model.trim().replaceAll(/\s+/g, " ") || Deno.build.arch;
  const count = `${all.length} ${all.length === 1 ? "core" : "cores"}`;
  return `${model}, ${count}, ${await system()}`;
}

async function system(): Promise<string> {
  const { os } = Deno.build;
  if (os !== "linux") return `${os} ${Deno.osRelease()}`;
  const text = await Deno.readTextFile("/etc/os-release").catch(() => "");
  const name = /^PRETTY_NAME="?(.*?)"?$/m.exec(text)?.[1];
  const kernel = `Linux ${Deno.osRelease().replace(/-.*/, "")}`;
  return name ? `${name}, ${kernel}` : kernel;
}

/** Command prefixes that run servers and load on different processors. */
export interface Pinning {
  server: string[];
  load: string[];
}

/** Assigns one processor to the servers if `taskset` is available. */
export async function pinning(): Promise<Pinning> {
  const none = { server: [], load: [] };
  if (Deno.build.os !== "linux") return none;
  const status = await Deno.readTextFile("/proc/self/status");
  const allowed = parseCpus(/^Cpus_allowed_list:\s+(\S+)/m.exec(status)![1]);
  const hasTaskset = (await run("taskset", ["--version"])).success;
  if (allowed.length < 2 || !hasTaskset) return none;
  const [first, ...others] = allowed;
  const taskset = (list: number[]) => ["taskset", "-c", list.join(",")];
  return { server: taskset([first]), load: taskset(others) };
}
