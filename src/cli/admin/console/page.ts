/**
 * The console: a page that shows and steers the server through the Admin API.
 *
 * @module
 */

/** The HTML of the page; `nonce` allows its script and its style. */
export function consolePage(nonce: string): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>socks5</title>` +
    `<style nonce="${nonce}"></style><p>socks5</p></html>`;
}
