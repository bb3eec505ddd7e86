/** `createFetch()` of pages of nginx, by HTTP/1.1 and HTTP/2. */

import { assert, assertEquals } from "@std/assert";
import { writeFile } from "node:fs/promises";
import { createFetch } from "../../src/doors/fetch/mod.ts";
import { issue } from "../support/certificates.ts";
import { runtime, test } from "../support/harness.ts";
import { opened, startProxy, urlOf } from "../doors/web.ts";
import { missing, withFolder, withListening } from "./programs.ts";

const { cert, key } = issue({
  subject: "/CN=one",
  extensions: ["subjectAltName=DNS:one.test"],
});

const LARGE = "0123456789".repeat(300_000);

/** Calls `use` with the port of nginx, which has a folder with the file `large`. */
async function withNginx(
  listen: string,
  use: (port: number) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const file = `${folder}/nginx.conf`;
    await writeFile(`${folder}/large`, LARGE);
    await writeFile(`${folder}/cert.pem`, cert);
    await writeFile(`${folder}/key.pem`, key);
    const write = (port: number) =>
      writeFile(
        file,
        `
daemon off;
master_process off;
pid ${folder}/pid;
error_log stderr error;
events {}
http {
  access_log off;
  default_type text/plain;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  client_max_body_size 10m;
  keepalive_requests 3;
  server {
    listen 127.0.0.1:${port} ${listen};
    ssl_certificate ${folder}/cert.pem;
    ssl_certificate_key ${folder}/key.pem;
    root ${folder};
    gzip on;
    gzip_types text/plain;
    location = /protocol { return 200 "$server_protocol $host $http_user_agent"; }
    location = /empty { return 204; }
    location = /redirect { return 302 /protocol; }
    location = /post { return 200 "$request_method $content_length"; }
  }
}
`,
      );
    await withListening("nginx", async (port) => {
      await write(port);
      return ["-p", folder, "-e", "stderr", "-c", file];
    }, use);
  });
}

const rows: readonly [name: string, scheme: string, listen: string][] = [
  ["HTTP/1.1", "http", ""],
  ["HTTP/1.1", "https", "ssl"],
  ["HTTP/2.0", "https", "ssl http2"],
];

for (const [protocol, scheme, listen] of rows) {
  test(
    `createFetch() gets pages of nginx by ${scheme}: and ${protocol}`,
    () =>
      withNginx(listen, async (port) => {
        const proxy = await startProxy();
        const fetch = createFetch(urlOf(proxy), { targetTls: { ca: cert } });
        const url = `${scheme}://one.test:${port}`;
        const text = async (path: string, init?: RequestInit) =>
          await (await fetch(url + path, init)).text();
        const [spoken, host] = (await text("/protocol")).split(" ");
        const isHttp2 = runtime === "deno" && protocol === "HTTP/2.0";
        assertEquals(spoken, isHttp2 ? "HTTP/2.0" : "HTTP/1.1");
        assertEquals(host, "one.test");
        // With gzip in chunks, without it with a length.
        for (const coding of ["gzip", "identity"]) {
          const headers = { "accept-encoding": coding };
          assert(await text("/large", { headers }) === LARGE, coding);
        }
        assertEquals((await fetch(`${url}/empty`)).status, 204);
        const last = await fetch(`${url}/redirect`);
        assertEquals(last.url, `${url}/protocol`);
        await last.text();
        // More than one connection carries.
        for (let i = 0; i < 20; i++) {
          assert((await text("/protocol")).startsWith(spoken));
        }
        assert(opened(proxy) > 1);
        await fetch.close();
        await proxy.close();
      }),
    { skip: missing("nginx") },
  );
}
