/**
 * Tables whose rows are updated in place, so that the focus and the place of a row
 * outlive an update.
 *
 * @module
 */

import type { Browser, PageElement } from "./browser.ts";
import type { Elements } from "./elements.ts";

/** A column of a table. */
export interface Column<T> {
  readonly label: string;
  /** The key by which the server sorts; without it the column cannot be sorted by. */
  readonly sort?: string;
  readonly isNumber?: boolean;
  /** The text of a cell. */
  text(row: T): string;
  /** Makes the text a button, which calls this. */
  readonly onClick?: (row: T) => void;
}

/** The button of each row. */
export interface RowAction<T> {
  readonly label: string;
  /** What the button does, for those who do not see the row. */
  describe(row: T): string;
  run(row: T): void;
}

/** The parts of a table. */
export interface TableOptions<T> {
  readonly element: PageElement;
  readonly columns: readonly Column<T>[];
  readonly action?: RowAction<T>;
  /** The initial order, as a key of the API; `-` means descending. */
  readonly sort?: string;
  readonly onSort?: () => void;
  idOf(row: T): string;
}

/** A table. */
export interface Table<T> {
  /** The order, as a key of the API. */
  readonly sort: string | undefined;
  /** Shows these rows in this order. */
  update(rows: readonly T[]): void;
  /** Lets the next update move rows even if somebody is about to use one. */
  release(): void;
  /** Removes a row, and moves the focus to the next one if it was there. */
  remove(id: string): void;
}

/** Creates tables. */
export type Tables = <T>(options: TableOptions<T>) => Table<T>;

interface Row<T> {
  readonly element: PageElement;
  readonly texts: readonly PageElement[];
  readonly button: PageElement | undefined;
  data: T;
}

/** Part of the page's script: must not refer to anything outside. */
export function tables(
  { document }: Browser,
  { make, setText, setAttribute }: Elements,
): Tables {
  return <T>(options: TableOptions<T>): Table<T> => {
    const { element, columns, action, idOf } = options;
    const rows = new Map<string, Row<T>>();
    const body = make("tbody", { role: "rowgroup" });
    const heads = new Map<string, PageElement>();
    let sort = options.sort;
    let isPointed = false;
    let isReleased = true;

    function makeHead({ label, sort: key, isNumber }: Column<T>): PageElement {
      const attributes = {
        scope: "col",
        role: "columnheader",
        class: isNumber ? "number" : "",
      };
      if (key === undefined) return make("th", attributes, label);
      const button = make("button", { type: "button" }, label);
      button.addEventListener("click", () => {
        const isFirst = sort?.replace("-", "") !== key;
        const isDescending = isFirst ? isNumber : !sort!.startsWith("-");
        sort = isDescending ? `-${key}` : key;
        isReleased = true;
        showOrder();
        options.onSort?.();
      });
      const head = make("th", attributes, button);
      heads.set(key, head);
      return head;
    }

    function showOrder(): void {
      for (const [key, head] of heads) {
        const order = sort === key
          ? "ascending"
          : sort === `-${key}`
          ? "descending"
          : undefined;
        setAttribute(head, "aria-sort", order);
      }
    }

    function makeRow(data: T): Row<T> {
      const texts = columns.map(({ onClick }) =>
        onClick
          ? make("button", { type: "button", class: "link" })
          : make("span")
      );
      const cells = texts.map((text, i) => {
        const { label, isNumber } = columns[i];
        const kind = isNumber ? "number" : "";
        return make(
          "td",
          { role: "cell", class: kind, "data-label": label },
          text,
        );
      });
      const button = action &&
        make("button", { type: "button", class: "end" }, action.label);
      if (button) {
        cells.push(make("td", { role: "cell", class: "act" }, button));
      }
      const row = {
        element: make("tr", { role: "row" }, ...cells),
        texts,
        button,
        data,
      };
      texts.forEach((text, i) =>
        text.addEventListener("click", () => columns[i].onClick?.(row.data))
      );
      button?.addEventListener("click", () => action?.run(row.data));
      return row;
    }

    function fill(row: Row<T>, data: T): void {
      row.data = data;
      setAttribute(row.element, "class", "");
      row.texts.forEach((element, i) => {
        const text = columns[i].text(data);
        setText(element, text);
        // Long texts are cut.
        if (text.length > 20) setAttribute(element, "title", text);
      });
      if (row.button) {
        setAttribute(row.button, "aria-label", action?.describe(data));
      }
    }

    /** Moves rows into this order, except the one with the focus, which would lose it. */
    function arrange(order: readonly PageElement[]): void {
      let next: PageElement | null = null;
      for (const element of [...order].reverse()) {
        if (element.nextSibling === next && element.parentElement === body) {
          // Already there.
        } else if (element.contains(document.activeElement)) {
          while (element.nextSibling !== next) {
            body.insertBefore(element.nextSibling!, element);
          }
        } else {
          body.insertBefore(element, next);
        }
        next = element;
      }
    }

    /** Whether rows must stay where they are, because somebody is about to use one. */
    const isHeld = () =>
      isPointed ||
      body.contains(document.activeElement) &&
        document.activeElement!.matches(":focus-visible");

    function remove(id: string): void {
      const row = rows.get(id);
      if (!row) return;
      rows.delete(id);
      const { element: gone } = row;
      const neighbor = gone.nextSibling ?? gone.previousSibling;
      const hadFocus = gone.contains(document.activeElement);
      gone.remove();
      if (!hadFocus) return;
      (neighbor?.querySelector("button") ?? element.parentElement)?.focus();
    }

    function update(list: readonly T[]): void {
      // At most twice the rows: those that have gone stay meanwhile.
      const isHolding = !isReleased && isHeld() &&
        rows.size <= 2 * list.length;
      isReleased = false;
      const ids = new Set(list.map(idOf));
      for (const [id, { element: row }] of rows) {
        if (ids.has(id)) continue;
        if (isHolding) setAttribute(row, "class", "gone");
        else remove(id);
      }
      for (const data of list) {
        let row = rows.get(idOf(data));
        if (!row) {
          rows.set(idOf(data), row = makeRow(data));
          if (isHolding) body.append(row.element);
        }
        fill(row, data);
      }
      if (!isHolding) arrange(list.map((it) => rows.get(idOf(it))!.element));
    }

    const names = columns.map(makeHead);
    if (action) {
      const name = make("span", { class: "unseen" }, action.label);
      names.push(make("th", { scope: "col", role: "columnheader" }, name));
    }
    const head = make("tr", { role: "row" }, ...names);
    element.append(make("thead", { role: "rowgroup" }, head), body);
    body.addEventListener("pointerenter", () => isPointed = true);
    body.addEventListener("pointerleave", () => isPointed = false);
    showOrder();
    return {
      get sort() {
        return sort;
      },
      update,
      release: () => void (isReleased = true),
      remove,
    };
  };
}
