/**
 * What the views of the console share.
 *
 * @module
 */

import type { Confirm } from "./dialogs.ts";
import type { Elements } from "./elements.ts";
import type { Filters } from "./filters.ts";
import type { Formats } from "./formats.ts";
import type { Requests, Target } from "./requests.ts";
import type { Tables } from "./tables.ts";

/** The tools of the views. */
export interface Desk {
  readonly elements: Elements;
  readonly formats: Formats;
  readonly filters: Filters;
  readonly requests: Requests;
  readonly tables: Tables;
  readonly confirm: Confirm;
  /** Does something, and shows its result, or why it failed. */
  act(run: () => Promise<string>): Promise<void>;
  /** Asks for the data of the current view at once. */
  refresh(): void;
  /** Shows the sessions of a filter. */
  showSessions(filter: string): void;
}

/** The content of a tab. */
export interface View {
  /** The request for its data. */
  target(): Target;
  /** Shows an answer. */
  show(answer: unknown): void;
}
