/**
 * The dashboard of Grafana in `scripts/deploy`.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import process from "node:process";

/** A query of a panel. */
export interface PanelQuery {
  /** The title of the panel. */
  readonly panel: string;
  /** In the language of Prometheus, with Grafana's variables. */
  readonly expr: string;
  /** The names of its series, with `{{label}}` for labels. */
  readonly legend: string;
}

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly gridPos: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
  readonly targets?: readonly { expr: string; legendFormat: string }[];
}

/** The panels of the dashboard, and what its variables ask. */
export function readDashboard(): {
  panels: readonly Panel[];
  queries: readonly PanelQuery[];
  variables: readonly string[];
} {
  const path = `${process.cwd()}/scripts/deploy/grafana.json`;
  const { panels, templating } = JSON.parse(readFileSync(path, "utf8")) as {
    panels: readonly Panel[];
    templating: { list: readonly { query: string | { query: string } }[] };
  };
  const queries = panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr, legendFormat }) => (
      { panel: title, expr, legend: legendFormat }
    ))
  );
  const variables = templating.list.flatMap(({ query }) =>
    typeof query === "string" ? [] : [query.query]
  );
  return { panels, queries, variables };
}
