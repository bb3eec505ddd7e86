/** The answers of the Admin API. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import * as net from "node:net";
import { openapiDocument } from "../../../src/cli/admin/openapi.ts";
import { ROUTES } from "../../../src/cli/admin/routes.ts";
import { userPass } from "../../../src/server/mod.ts";
import { firstOf } from "../../../src/cli/serve/control/first_of.ts";
import { test } from "../../support/harness.ts";
import { until } from "../../transport/contract.ts";
import { assertEchoes, LOOPBACK, withEcho } from "../echo.ts";
import { type Administration, withAdmin } from "./fixture.ts";

/** Three sessions: alice has sent 10 and 20 bytes, bob 5. */
async function withSessions(
  use: (administration: Administration, port: number) => Promise<void>,
): Promise<void> {
  await withEcho((port) =>
    withAdmin(async (administration) => {
      const { visit } = administration;
      await assertEchoes(await visit(port, "alice"), "x".repeat(10));
      await assertEchoes(await visit(port, "alice"), "x".repeat(20));
      await assertEchoes(await visit(port, "bob"), "x".repeat(5));
      await use(administration, port);
    })
  );
}

test("firstOf() returns what sorting would, and equal ones in their order", () => {
  for (let round = 0; round < 200; round++) {
    const items = Array.from({ length: round % 40 }, (_, place) => (
      { place, key: Math.floor(Math.random() * 8) }
    ));
    for (const sign of [1, -1] as const) {
      const sorted = items.toSorted((a, b) => sign * (a.key - b.key));
      const first = firstOf(items, round % 23, ({ key }) => key, sign);
      assertEquals(first, sorted.slice(0, round % 23));
    }
  }
});

test("GET /sessions filters, sorts and cuts", () =>
  withSessions(async ({ ask }, port) => {
    const { body } = await ask("GET", "/sessions");
    assertEquals([body.total, body.matched], [3, 3]);
    const [first] = body.sessions;
    assertEquals(
      [first.id, first.user, first.phase, first.command, first.received],
      ["2", "alice", "relay", "connect", 20],
    );
    assertEquals(first.target, { hostname: LOOPBACK, port });
    const { port: clientPort } = first.client;
    for (
      const [query, ids, matched = ids.length] of [
        ["sort=id", ["1", "2", "3"]],
        ["sort=-id", ["3", "2", "1"]],
        ["sort=sent", ["3", "1", "2"]],
        ["sort=-user", ["3", "1", "2"]],
        ["sort=startedAt&limit=0", [], 3],
        ["sort=id&limit=2", ["1", "2"], 3],
        ["sort=id&user=alice", ["1", "2"]],
        ["user=ALICE", []],
        ["user=bob&phase=relay&command=connect", ["3"]],
        ["phase=handshake", []],
        [`client=${LOOPBACK}&sort=id`, ["1", "2", "3"]],
        [`client=${LOOPBACK}:${clientPort}`, ["2"]],
        [`target=${LOOPBACK}:${port}&user=bob`, ["3"]],
        [`target=${LOOPBACK}:1`, []],
        ["text=BO", ["3"]],
        [`text=:${port}&sort=id`, ["1", "2", "3"]],
        ["text=nobody", []],
      ] as [string, string[], number?][]
    ) {
      const { status, body } = await ask("GET", `/sessions?${query}`);
      const found = body.sessions.map((it: { id: string }) => it.id);
      assertEquals([status, found, body.matched], [200, ids, matched], query);
      assertEquals(body.total, 3);
    }
    for (const query of ["limit=1001", "limit=-1", "limit=x", "sort=port"]) {
      assertEquals((await ask("GET", `/sessions?${query}`)).status, 400, query);
    }
  }));

test("DELETE /sessions ends one, those that match, or all, and logs it", () =>
  withSessions(async ({ ask, records, visit }, port) => {
    const ids = async () => {
      const { body } = await ask("GET", "/sessions?sort=id");
      return body.sessions.map((it: { id: string }) => it.id);
    };
    const conn = await visit(port, "bob");
    assertEquals((await ask("DELETE", "/sessions/4")).body, { ended: 1 });
    assertEquals(await conn.read().catch(() => null), null);
    assertEquals(await ids(), ["1", "2", "3"]);
    const absent = await ask("DELETE", "/sessions/4");
    assertEquals([absent.status, absent.body], [404, {
      error: "no such session",
    }]);
    const ended = await ask("DELETE", "/sessions?user=alice");
    assertEquals(ended.body, { ended: 2 });
    while ((await ids()).length > 1);
    assertEquals(await ids(), ["3"]);
    assertEquals((await ask("DELETE", "/sessions?user=alice")).body, {
      ended: 0,
    });
    assertEquals((await ask("DELETE", "/sessions?all=true")).body, {
      ended: 1,
    });
    while ((await ids()).length > 0);
    const acts = records.map((it) =>
      it.type === "admin" && [it.act, it.filter, it.count]
    );
    assertEquals(acts, [
      ["end", { id: "4" }, 1],
      ["end", { user: "alice" }, 2],
      ["end", { user: "alice" }, 0],
      ["end", {}, 1],
    ]);
    const [first] = records;
    assert(first.type === "admin" && typeof first.origin === "object");
    assertEquals(first.origin.hostname, LOOPBACK);
  }));

test("GET /users adds up the open sessions of each user", () =>
  withSessions(async ({ ask }) => {
    const { body } = await ask("GET", "/users");
    assertEquals(body, {
      total: 2,
      users: [
        { name: "alice", sessions: 2, sent: 30, received: 30 },
        { name: "bob", sessions: 1, sent: 5, received: 5 },
      ],
    });
    const names = async (query: string) =>
      (await ask("GET", `/users?${query}`)).body.users.map((
        it: { name: string },
      ) => it.name);
    assertEquals(await names("sort=sessions"), ["bob", "alice"]);
    assertEquals(await names("sort=-name&limit=1"), ["bob"]);
    assertEquals((await ask("GET", "/users?user=bob")).status, 400);
  }));

test("GET /users leaves out sessions that only claim the name of a user", async () => {
  let decide!: (isRight: boolean) => void;
  const decided = new Promise<boolean>((resolve) => decide = resolve);
  const serve = { http: true, auth: [userPass(() => decided)] };
  await withAdmin(async ({ ask, server }) => {
    const client = net.connect(server.addr.port, LOOPBACK);
    client.on("error", () => {});
    const login = `Proxy-Authorization: Basic ${btoa("al:x")}`;
    client.write(`CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n${login}\r\n\r\n`);
    const pending = "/sessions?user=al&phase=handshake";
    while ((await ask("GET", pending)).body.matched === 0);
    assertEquals((await ask("GET", "/users")).body, { total: 0, users: [] });
    decide(false);
    client.destroy();
  }, { serve });
});

test("GET /users has the totals, the quota and the expiry of users whose traffic is counted", () =>
  withSessions(async ({ ask, server }) => {
    const usage = { sent: 1, received: 2, sessions: 3 };
    const month = { ...usage, received: 30 };
    const all = { total: usage, day: usage, month };
    const quota = { bytes: 1_000, per: "month" } as const;
    server.userTotals = () =>
      Promise.resolve([
        { user: "bob", ...all, attributes: { quota, until: 7 } },
        { user: "carol", ...all },
      ]);
    const { body } = await ask("GET", "/users?sort=name");
    assertEquals(body, {
      total: 3,
      users: [
        { name: "alice", sessions: 2, sent: 30, received: 30 },
        {
          name: "bob",
          sessions: 1,
          sent: 5,
          received: 5,
          quota: { ...quota, used: 31 },
          until: 7,
          totals: all,
        },
        { name: "carol", sessions: 0, sent: 0, received: 0, totals: all },
      ],
    });
    const { body: document } = await ask("GET", "/openapi.json");
    const { schemas } = document.components;
    assertEquals(faultsOf(body, schemas.Users, schemas, ""), []);
  }));

test("GET and DELETE /lockouts list and unlock clients", () =>
  withAdmin(async ({ ask, lockout, records }) => {
    const lock = (client: string) => {
      for (let i = 0; i < 2; i++) lockout.failed(client);
    };
    assertEquals((await ask("GET", "/lockouts")).body, {
      total: 0,
      lockouts: [],
    });
    for (const it of ["192.0.2.1", "2001:db8::1", "192.0.2.2"]) lock(it);
    const before = Date.now();
    const { body } = await ask("GET", "/lockouts?limit=2");
    assertEquals(body.total, 3);
    const [first, second] = body.lockouts;
    assertEquals([first.client, second.client], [
      "192.0.2.2",
      "2001:db8::/64",
    ]);
    assertEquals(first.failed, 2);
    assert(Math.abs(first.until - before - 300_000) < 10_000);
    const unlock = async (client: string) =>
      (await ask("DELETE", `/lockouts/${encodeURIComponent(client)}`)).body;
    assertEquals(await unlock("2001:db8::/64"), { unlocked: 1 });
    assertEquals(lockout.isLocked("2001:db8::1"), false);
    assertEquals(await unlock("::ffff:192.0.2.1"), { unlocked: 1 });
    assertEquals(await unlock("192.0.2.1"), { unlocked: 0 });
    assertEquals(lockout.isLocked("192.0.2.2"), true);
    assertEquals((await ask("DELETE", "/lockouts?all=true")).body, {
      unlocked: 1,
    });
    assertEquals(lockout.isLocked("192.0.2.2"), false);
    const acts = records.map((it) => it.type === "admin" && it.act);
    assertEquals(acts, ["unlock", "unlock", "unlock", "unlock"]);
  }));

test("Lockout.unlock() also forgets the failures of a client that is not locked out", () =>
  withAdmin(async ({ ask, lockout }) => {
    lockout.failed("192.0.2.1");
    assertEquals((await ask("DELETE", "/lockouts/192.0.2.1")).body, {
      unlocked: 0,
    });
    lockout.failed("192.0.2.1");
    assertEquals(lockout.isLocked("192.0.2.1"), false);
  }));

test("GET /status has the totals of sessions that are open and of those that have ended", () =>
  withSessions(async ({ ask, server }) => {
    await ask("DELETE", "/sessions?user=bob");
    const query = { sort: "id", limit: 0 } as const;
    while ((await server.control.sessions(query)).total > 2);
    const { body } = await ask("GET", "/status");
    const { sessions, sent, received, started, rejected, denied } = body;
    assertEquals([sessions, sent, received], [2, 35, 35]);
    assertEquals([started, rejected, denied, body.workers], [3, 0, 0, 1]);
    assertEquals(body.listening, `${LOOPBACK}:${server.addr.port}`);
    assertMatch(body.runtime, /^(deno|bun|node) \d+\.\d+/);
    assert(Math.abs(body.startedAt - Date.now()) < 60_000);
  }));

test("GET /batch answers several requests, each with its own status", () =>
  withSessions(async ({ ask, records }) => {
    const batch = async (...targets: string[]) => {
      const gets = targets.map((it) => `get=${encodeURIComponent(it)}`);
      const { status, body } = await ask("GET", `/batch?${gets.join("&")}`);
      return { status, body };
    };
    const listed = "/sessions?user=alice&sort=id&limit=1";
    const { status, body } = await batch("/users", listed, "/lockouts");
    assertEquals(status, 200);
    assertEquals(body.answers[0], {
      status: 200,
      body: (await ask("GET", "/users")).body,
    });
    const [, { body: sessions }, lockouts] = body.answers;
    assertEquals([sessions.matched, sessions.sessions[0].id], [2, "1"]);
    assertEquals(lockouts, { status: 200, body: { total: 0, lockouts: [] } });
    const wrong = await batch(
      "/sessions?sort=x",
      "/nothing",
      "/sessions/1",
      "/drain",
      "/batch?get=/users",
      "users",
      "/",
      "/status",
    );
    const statuses = wrong.body.answers.map((it: { status: number }) =>
      it.status
    );
    assertEquals(statuses, [400, 404, 405, 405, 400, 404, 405, 200]);
    assertEquals(Object.keys(wrong.body.answers[0].body), ["error"]);
    const nine = Array.from({ length: 9 }, () => "/status");
    assertEquals((await batch(...nine)).status, 400);
    for (const query of ["", "?get=/users&x=1", "?all=true"]) {
      assertEquals((await ask("GET", `/batch${query}`)).status, 400, query);
    }
    assertEquals(records, []);
  }));

test("GET /history has the samples", () =>
  withAdmin(async ({ ask }) => {
    const { body } = await ask("GET", "/history");
    assertEquals(body, { interval: 1_000, samples: [] });
  }));

test("POST /reload answers with the result", () =>
  withAdmin(async (administration) => {
    const { ask, calls, records } = administration;
    const { status, body } = await ask("POST", "/reload");
    assertEquals([status, body], [200, {
      reloaded: true,
      logins: 3,
      rules: 0,
      ignored: [],
    }]);
    const problems = ["users.txt: line 1: no hash"];
    administration.reloaded = { type: "reload-failed", problems };
    const failed = await ask("POST", "/reload");
    assertEquals([failed.status, failed.body.problems], [409, problems]);
    assertEquals(calls, ["reload", "reload"]);
    const acts = records.map((it) => it.type === "admin" && it.act);
    assertEquals(acts, ["reload", "reload"]);
  }));

test("POST /drain answers before the shutdown begins", () =>
  withAdmin(async ({ ask, admin, calls, records }) => {
    const { status, body } = await ask("POST", "/drain");
    assertEquals([status, body], [200, { draining: true }]);
    await until(() => calls.length === 1);
    assertEquals(calls, ["drain"]);
    admin.drain();
    assertEquals((await ask("GET", "/status")).body.isDraining, true);
    assertEquals((await ask("POST", "/drain")).status, 200);
    assertEquals(records.length, 1);
  }));

test("the token of the current configuration counts", () =>
  withAdmin(async (administration) => {
    const { ask } = administration;
    administration.token = "another-token-of-24-bytes";
    assertEquals((await ask("GET", "/status")).status, 401);
    const authorization = `Bearer ${administration.token}`;
    assertEquals((await ask("GET", "/status", { authorization })).status, 200);
  }));

type Schema = Record<string, unknown>;

test("GET /openapi.json describes all routes, and their answers are as it says", () =>
  withSessions(async (administration) => {
    const { ask, lockout } = administration;
    for (let i = 0; i < 2; i++) lockout.failed("192.0.2.1");
    const { body: document } = await ask("GET", "/openapi.json");
    assertEquals(document, JSON.parse(JSON.stringify(openapiDocument())));
    assertEquals(document.openapi, "3.1.0");
    const described = Object.entries(document.paths as Schema).flatMap((
      [path, operations],
    ) =>
      Object.keys(operations as Schema).map((it) =>
        `${it.toUpperCase()} ${path}`
      )
    );
    const routes = ROUTES.map(({ method, path }) => `${method} ${path}`);
    assertEquals(described.sort(), routes.sort());
    for (
      const [method, path, described = path] of [
        ["GET", "/status"],
        ["GET", "/history"],
        ["GET", "/sessions"],
        ["GET", "/users"],
        ["GET", "/lockouts"],
        ["GET", "/batch?get=/status&get=/nothing", "/batch"],
        ["GET", "/batch", "/batch"],
        ["GET", "/openapi.json"],
        ["DELETE", "/lockouts/192.0.2.1", "/lockouts/{client}"],
        ["DELETE", "/lockouts", "/lockouts"],
        ["DELETE", "/lockouts?all=true", "/lockouts"],
        ["DELETE", "/sessions/1", "/sessions/{id}"],
        ["DELETE", "/sessions/99", "/sessions/{id}"],
        ["DELETE", "/sessions?all=true", "/sessions"],
        ["GET", "/sessions?sort=x", "/sessions"],
        ["POST", "/reload"],
        ["POST", "/drain"],
      ]
    ) {
      const { status, body } = await ask(method, path);
      const { responses } = document.paths[described][method.toLowerCase()];
      const response = responses[status];
      assert(response, `${method} ${path}: ${status} is not described`);
      const { schema } = response.content["application/json"];
      const faults = faultsOf(body, schema, document.components.schemas, "");
      assertEquals(faults, [], `${method} ${path}`);
    }
    // The validator finds faults.
    const { schemas } = document.components;
    const wrong = { unlocked: -1, more: true };
    const faults = faultsOf(wrong, schemas.Unlocked, schemas, "");
    assertEquals(faults, [".unlocked: minimum", ".more: unknown"]);
  }));

/** The places where a value is not as a schema says. */
function faultsOf(
  value: unknown,
  schema: Schema,
  schemas: Record<string, Schema>,
  at: string,
): string[] {
  const inner = (value: unknown, schema: unknown, at: string) =>
    faultsOf(value, schema as Schema, schemas, at);
  const faults: string[] = [];
  for (const [keyword, expected] of Object.entries(schema)) {
    const fails = (found: boolean) => {
      if (!found) faults.push(`${at}: ${keyword}`);
    };
    switch (keyword) {
      case "$ref":
        faults.push(
          ...inner(value, schemas[`${expected}`.split("/").at(-1)!], at),
        );
        break;
      case "type":
        fails(typeOf(value) === expected);
        break;
      case "enum":
        fails((expected as unknown[]).includes(value));
        break;
      case "const":
        fails(value === expected);
        break;
      case "minimum":
        fails(value as number >= (expected as number));
        break;
      case "pattern":
        fails(new RegExp(expected as string).test(value as string));
        break;
      case "maxItems":
        fails((value as unknown[]).length <= (expected as number));
        break;
      case "minItems":
        fails((value as unknown[]).length >= (expected as number));
        break;
      case "required":
        for (const name of expected as string[]) {
          if (!Object.hasOwn(value as object, name)) {
            faults.push(`${at}.${name}: missing`);
          }
        }
        break;
      case "properties":
        for (const [name, member] of Object.entries(value as Schema)) {
          const known = (expected as Schema)[name];
          if (known) faults.push(...inner(member, known, `${at}.${name}`));
          else faults.push(`${at}.${name}: unknown`);
        }
        break;
      case "items":
        for (const [i, it] of (value as unknown[]).entries()) {
          faults.push(...inner(it, expected, `${at}[${i}]`));
        }
        break;
      case "prefixItems":
        for (const [i, it] of (expected as unknown[]).entries()) {
          faults.push(...inner((value as unknown[])[i], it, `${at}[${i}]`));
        }
        break;
      case "description":
      case "format":
      case "additionalProperties": // false, as "properties" has it
        break;
      default:
        throw new Error(`the validator does not know ${keyword}`);
    }
  }
  return faults;
}

function typeOf(value: unknown): string {
  if (Array.isArray(value)) return "array";
  return Number.isInteger(value) ? "integer" : typeof value;
}
