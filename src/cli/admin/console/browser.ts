/**
 * The members of a browser that the script of the console uses. They are declared here
 * because the project is checked without the types of the DOM.
 *
 * @module
 */

/** An event of an element. */
export interface PageEvent {
  readonly target: PageElement;
  readonly key: string;
  readonly clientX: number;
  preventDefault(): void;
}

/** A style whose properties can be set, which the policy of the page allows. */
export interface PageStyle {
  setProperty(name: string, value: string): void;
}

/** An element of any kind, with the members of all kinds. */
export interface PageElement {
  textContent: string | null;
  value: string;
  hidden: boolean;
  disabled: boolean;
  returnValue: string;
  readonly clientWidth: number;
  readonly style: PageStyle;
  readonly dataset: Record<string, string | undefined>;
  readonly parentElement: PageElement | null;
  readonly nextSibling: PageElement | null;
  readonly previousSibling: PageElement | null;
  append(...content: (PageElement | string)[]): void;
  replaceChildren(...content: (PageElement | string)[]): void;
  insertBefore(child: PageElement, next: PageElement | null): void;
  remove(): void;
  contains(other: PageElement | null): boolean;
  matches(selector: string): boolean;
  querySelector(selector: string): PageElement | null;
  querySelectorAll(selector: string): Iterable<PageElement>;
  getAttribute(name: string): string | null;
  setAttribute(name: string, value: string): void;
  removeAttribute(name: string): void;
  getBoundingClientRect(): { readonly left: number; readonly width: number };
  addEventListener(type: string, listener: (event: PageEvent) => void): void;
  focus(): void;
  showModal(): void;
  close(returnValue?: string): void;
}

/** What a page keeps. */
export interface PageStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** The global object of a page. */
export interface Browser {
  readonly document: {
    title: string;
    readonly hidden: boolean;
    readonly activeElement: PageElement | null;
    readonly documentElement: PageElement;
    getElementById(id: string): PageElement | null;
    createElement(name: string): PageElement;
    createElementNS(namespace: string, name: string): PageElement;
    addEventListener(type: string, listener: () => void): void;
  };
  readonly location: { readonly hash: string; readonly pathname: string };
  readonly history: {
    replaceState(state: unknown, unused: string, url: string): void;
  };
  readonly sessionStorage: PageStorage;
  readonly localStorage: PageStorage;
  setTimeout(run: () => void, delay: number): number;
  clearTimeout(timer: number | undefined): void;
  addEventListener(type: string, listener: () => void): void;
}
