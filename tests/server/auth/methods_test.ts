/**
 * All authentication methods between this server and this client: the choice among
 * them, and the user that policy, limits, events and metrics see.
 */

import { assertEquals, assertRejects } from "@std/assert";
import {
  anonymous,
  chapLogin,
  type ClientAuth,
  connect,
  passwordLogin,
  SocksError,
  udpAssociate,
} from "../../../src/client/mod.ts";
import {
  type AuthMethod,
  chap,
  Metrics,
  noAuth,
  rules,
  type ServeOptions,
  userPass,
} from "../../../src/server/mod.ts";
import { gssapi, gssapiLogin } from "../../../src/gssapi/mod.ts";
import { wrapping } from "../../client/wrapping.ts";
import { test } from "../../support/harness.ts";
import { udpEcho } from "../../support/raw.ts";
import { PRINCIPAL, ScriptedGss } from "../../support/scripted_gss.ts";
import {
  echo,
  startServer,
  startTarget,
  type Target,
  type TestServer,
} from "../../support/server.ts";
import { TOKEN, wrappingMethod } from "../../support/wrapped_conn.ts";
import {
  assertSameOctets,
  pattern,
  readAll,
  readExactly,
} from "../../transport/contract.ts";

/** Both sides of a method. */
interface Row {
  readonly server: AuthMethod;
  readonly client: ClientAuth;
  /** The user that logs in; a method without one accepts everyone. */
  readonly user?: string;
  /** The client's side with a login that is wrong. */
  readonly wrong?: ClientAuth;
  /** The user of a session whose login is wrong. */
  readonly claims?: string;
}

const LOGIN = { username: "al", password: "pw" };
const NO_LOCKOUT = { lockout: 0 };

const provider = new ScriptedGss();

/** The methods. A new one is one more row. */
const METHODS: readonly Row[] = [
  { server: noAuth(), client: anonymous() },
  {
    server: userPass({ al: "pw" }, NO_LOCKOUT),
    client: passwordLogin(),
    user: "al",
    wrong: passwordLogin(),
    claims: "al",
  },
  {
    server: chap({ al: "pw" }, NO_LOCKOUT),
    client: chapLogin(),
    user: "al",
    wrong: chapLogin(),
    claims: "al",
  },
  {
    server: wrappingMethod(),
    client: wrapping().auth,
    user: "al",
    wrong: wrapping(TOKEN + 1).auth,
  },
  {
    server: await gssapi({ provider }),
    client: gssapiLogin({ provider }),
    user: PRINCIPAL,
    wrong: gssapiLogin({ provider: new ScriptedGss({ ticket: "bob@TEST" }) }),
  },
];

/** All lists of different elements, in every order, except the empty list. */
function arrangements<T>(elements: readonly T[]): T[][] {
  return elements.flatMap((first) => {
    const others = elements.filter((it) => it !== first);
    return [[first], ...arrangements(others).map((rest) => [first, ...rest])];
  });
}

/** All subsets, in the order of the elements, except the empty set. */
function subsets<T>(elements: readonly T[]): T[][] {
  if (elements.length === 0) return [];
  const [first, ...others] = elements;
  const rest = subsets(others);
  return [[first], ...rest.map((it) => [first, ...it]), ...rest];
}

/** Calls `use` with a server of these options and an echoing target. */
async function withEcho(
  options: ServeOptions,
  use: (server: TestServer, target: Target) => Promise<void>,
): Promise<void> {
  const target = await startTarget(echo);
  const server = await startServer(options);
  await use(server, target);
  await server.close();
  await target.close();
}

function proxyOf({ server }: TestServer, login: object = LOGIN) {
  return { protocol: "socks5", ...server.addr, ...login } as const;
}

const names = (rows: readonly Row[]) => rows.map(({ server }) => server.name);

/** Passes if the server chooses the first method that it serves and that the client offers. */
async function assertChoice(
  served: readonly Row[],
  offers: readonly (readonly Row[])[],
): Promise<void> {
  const auth = served.map(({ server }) => server);
  await withEcho({ auth }, async (server, target) => {
    for (const offered of offers) {
      const auth = offered.map(({ client }) => client);
      const attempt = connect(proxyOf(server), target.addr, { auth });
      const chosen = served.find((it) => offered.includes(it));
      if (chosen) {
        const conn = await attempt;
        await conn.write(pattern(10));
        assertSameOctets(await readExactly(conn, 10), pattern(10));
        conn.close();
      } else {
        const { code } = await assertRejects(() => attempt, SocksError);
        assertEquals(code, "no-method");
      }
      const { session, reason } = await server.ended();
      const what = `${names(served)} ${names(offered)}`;
      assertEquals(session.method, chosen?.server.name, what);
      assertEquals(session.user, chosen?.user, what);
      assertEquals(reason === "no-method", !chosen, what);
    }
  });
}

for (const set of subsets(METHODS)) {
  test(`serve() chooses among ${names(set).join(", ")} in its order, whatever is offered`, async () => {
    // The order of the client decides nothing: try different ones.
    const offers = subsets(METHODS).map((it, i) =>
      i % 2 === 0 ? it : it.reverse()
    );
    await assertChoice(set, offers);
    for (const served of arrangements(set)) {
      if (served.length < set.length) continue;
      // Each method is chosen once, because the client offers none before it.
      const offers = served.map((_, i) =>
        METHODS.filter((it) => !served.slice(0, i).includes(it))
      );
      await assertChoice(served, offers);
    }
  });
}

for (const { server: method, client, user, wrong, claims } of METHODS) {
  const { name } = method;
  const options = { auth: [client] };

  test(`serve() relays both ways by ${name}, with half-close and datagrams`, () =>
    withEcho({ auth: [method] }, async (server, target) => {
      const conn = await connect(proxyOf(server), target.addr, options);
      await conn.write(pattern(100_000));
      await conn.closeWrite();
      assertSameOctets(await readAll(conn), pattern(100_000));
      conn.close();
      assertEquals((await server.ended()).reason, "finished");
      const echoing = await udpEcho();
      const udp = await udpAssociate(proxyOf(server), options);
      await udp.send(pattern(1_000), echoing.addr);
      const { value } = await udp.next();
      assertSameOctets(value![0], pattern(1_000));
      udp.close();
      await server.ended();
      echoing.close();
    }));

  test(`rules() decide by the user of a login by ${name}`, async () => {
    const verdicts = [
      [rules([`allow user ${user ?? "al"}`]), user !== undefined],
      [rules(["allow user bo"]), false],
      [rules([`deny user ${user ?? "al"}`, "allow *"]), user === undefined],
    ] as const;
    for (const [policy, isAllowed] of verdicts) {
      await withEcho({ auth: [method], policy }, async (server, target) => {
        const attempt = connect(proxyOf(server), target.addr, options);
        if (isAllowed) (await attempt).close();
        else {
          const { code } = await assertRejects(() => attempt, SocksError);
          assertEquals(code, "rejected");
        }
        const { session } = await server.ended();
        assertEquals([session.user, session.reply], [user, isAllowed ? 0 : 2]);
      });
    }
  });

  test(`serve() limits the sessions of a user of ${name}`, async () => {
    const limits = { sessionsPerUser: 1 };
    await withEcho({ auth: [method], limits }, async (server, target) => {
      const first = await connect(proxyOf(server), target.addr, options);
      const second = connect(proxyOf(server), target.addr, options);
      if (user === undefined) (await second).close();
      else {
        const { code } = await assertRejects(() => second, SocksError);
        assertEquals(code, "rejected");
      }
      await server.ended();
      first.close();
      await server.ended();
      (await connect(proxyOf(server), target.addr, options)).close();
      await server.ended();
    });
  });

  test(`serve() reports logins by ${name} in events and metrics`, async () => {
    const metrics = new Metrics();
    const { onEvent } = metrics;
    await withEcho({ auth: [method], onEvent }, async (server, target) => {
      (await connect(proxyOf(server), target.addr, options)).close();
      await server.ended();
      if (wrong) {
        const proxy = proxyOf(server, { ...LOGIN, password: "x" });
        const attempt = connect(proxy, target.addr, { auth: [wrong] });
        const { code } = await assertRejects(() => attempt, SocksError);
        assertEquals(code, "login-failed");
        const { session, reason } = await server.ended();
        assertEquals([session.user, reason], [claims, "login-failed"]);
      }
      const found = server.events.flatMap((it) =>
        it.type === "auth" ? [[it.ok, it.session.method, it.session.user]] : []
      );
      const failures = wrong ? [[false, name, claims]] : [];
      assertEquals(found, [[true, name, user], ...failures]);
      const counted = (result: string) =>
        metrics
          .read()[`socks5_logins_total{method="${name}",result="${result}"}`];
      assertEquals(counted("ok"), 1);
      assertEquals(counted("failed") ?? 0, wrong ? 1 : 0);
    });
  });
}
