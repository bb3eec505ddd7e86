/**
 * The parts of the page's script. Each is a function that refers to nothing outside
 * itself, so that its text also works in the page.
 *
 * @module
 */

import { dialogs } from "./dialogs.ts";
import { elements } from "./elements.ts";
import { filters } from "./filters.ts";
import { formats } from "./formats.ts";
import { lockoutsView } from "./lockouts_view.ts";
import { overview } from "./overview.ts";
import { plot } from "./plot.ts";
import { polling } from "./polling.ts";
import { requests } from "./requests.ts";
import { sessionsView } from "./sessions_view.ts";
import { tables } from "./tables.ts";
import { usersView } from "./users_view.ts";

/** The parts, by the names by which the script calls them. */
export const parts = {
  dialogs,
  elements,
  filters,
  formats,
  lockoutsView,
  overview,
  plot,
  polling,
  requests,
  sessionsView,
  tables,
  usersView,
} as const;

/** The type of {@linkcode parts}. */
export type Parts = typeof parts;
