import { assertEquals } from "@std/assert";
import { MetricsServer } from "../../src/cli/serve/metrics_server.ts";
import { test } from "../support/harness.ts";

test("GET /health is 200 only while somebody listens", async () => {
  const server = await MetricsServer.open({ hostname: "127.0.0.1", port: 0 });
  const url = server.url.replace(/metrics$/, "health");
  const health = async () => {
    const answer = await fetch(url, { headers: { connection: "close" } });
    return [answer.status, await answer.text()];
  };
  const watched = { isListening: true, metrics: () => Promise.resolve({}) };
  assertEquals(await health(), [503, "not serving\n"]);
  server.start(watched);
  assertEquals(await health(), [200, "serving\n"]);
  watched.isListening = false;
  assertEquals(await health(), [503, "not serving\n"]);
  watched.isListening = true;
  server.drain();
  assertEquals(await health(), [503, "not serving\n"]);
  server.close();
});
