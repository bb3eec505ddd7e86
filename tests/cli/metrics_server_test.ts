import { assertEquals } from "@std/assert";
import { MetricsServer } from "../../src/cli/admin/metrics_server.ts";
import { test } from "../support/harness.ts";

test("MetricsServer answers GET /health and /ready with 200 only while the server is listening and not draining, and /live always", async () => {
  const server = await MetricsServer.open({ hostname: "127.0.0.1", port: 0 });
  const get = async (path: string) => {
    const url = server.url.replace(/metrics$/, path);
    const answer = await fetch(url, { headers: { connection: "close" } });
    return [answer.status, await answer.text()];
  };
  const health = async () => {
    assertEquals(await get("live"), [200, "running\n"]);
    const answer = await get("health");
    assertEquals(await get("ready"), answer);
    return answer;
  };
  const monitored = { isListening: true, metrics: () => Promise.resolve({}) };
  assertEquals(await health(), [503, "not serving\n"]);
  server.start(monitored);
  assertEquals(await health(), [200, "serving\n"]);
  monitored.isListening = false;
  assertEquals(await health(), [503, "not serving\n"]);
  monitored.isListening = true;
  server.drain();
  assertEquals(await health(), [503, "not serving\n"]);
  server.close();
});
