/**
 * Creates and changes elements of the page.
 *
 * @module
 */

import type { Browser, PageElement } from "./browser.ts";

/** Content of an element; strings become text, never HTML. */
export type Content = PageElement | string;

/** Creates and changes elements. */
export interface Elements {
  /** The element of the document with this id. */
  get(id: string): PageElement;
  /** Creates an element of HTML. */
  make(
    name: string,
    attributes?: Record<string, string>,
    ...content: Content[]
  ): PageElement;
  /** Creates an element of SVG. */
  draw(
    name: string,
    attributes?: Record<string, string | number>,
    ...content: Content[]
  ): PageElement;
  /** Sets the text if it has changed: an unchanged one costs no layout. */
  setText(element: PageElement, text: string): void;
  /** Sets an attribute, or removes it, if it has changed. */
  setAttribute(
    element: PageElement,
    name: string,
    value: string | undefined,
  ): void;
}

/** Part of the page's script: must not refer to anything outside. */
export function elements({ document }: Browser): Elements {
  function fill(
    element: PageElement,
    attributes: Record<string, string | number>,
    content: Content[],
  ): PageElement {
    for (const [name, value] of Object.entries(attributes)) {
      element.setAttribute(name, String(value));
    }
    element.append(...content);
    return element;
  }

  return {
    get(id) {
      const element = document.getElementById(id);
      if (!element) throw new Error(`the page has no element ${id}`);
      return element;
    },
    make: (name, attributes = {}, ...content) =>
      fill(document.createElement(name), attributes, content),
    draw(name, attributes = {}, ...content) {
      const namespace = "http://www.w3.org/2000/svg";
      const element = document.createElementNS(namespace, name);
      return fill(element, attributes, content);
    },
    setText(element, text) {
      if (element.textContent !== text) element.textContent = text;
    },
    setAttribute(element, name, value) {
      if (value === undefined) element.removeAttribute(name);
      else if (element.getAttribute(name) !== value) {
        element.setAttribute(name, value);
      }
    },
  };
}
