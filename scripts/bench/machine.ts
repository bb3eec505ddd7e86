/**
 * The machine: what it is, and which processors the programs run on.
 *
 * @module
 */

import { cpus } from "node:os";
import { run } from "../runtimes.ts";
import { parseCpus } from "./process.ts";

/** Its processor, how many there are, and the system. */
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

/** How to start programs so that servers and load do not take each other's time. */
export interface Pinning {
  server: string[];
  load: string[];
}

/** The servers get a processor of their own, where `taskset` can do that. */
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
