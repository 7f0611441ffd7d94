/* The batches that the caller has asked for, the newest first. */

import { ACTIONS } from "./actions.js";
import { ask } from "./api.js";
import { element, replace, row, table } from "./elements.js";
import { filtersText } from "./filters.js";
import { pageLinks } from "./pages.js";
import { poll } from "./polling.js";
import { status } from "./status.js";
import { age, count } from "./written.js";

const SECONDS = 8;
const PAGE_SIZE = 25;
const NUMBERS = ["Done", "Skipped", "Failed"];
const HEADS = ["Status", "Batch", "Action", "Filters", ...NUMBERS, "Created"];

export function show(main) {
  const token = new URLSearchParams(location.search).get("page_token");
  const query = token ? { page_token: token } : {};
  const list = element("div", { "aria-busy": "true" });
  const pages = element("nav.pages", { "aria-label": "Pages of the list" });
  main.append(element("h1", "Batches"), list, pages);
  let written = "";
  poll(look, { seconds: SECONDS, onProblem: (error) => replace(list, element("p.empty", error.message)) });

  async function look(signal) {
    const found = await ask("/batches", { query: { page_size: PAGE_SIZE, ...query }, signal });
    const text = JSON.stringify(found);
    if (text === written) return;
    written = text;
    list.removeAttribute("aria-busy");
    const rows = found.batches.map(batchRow);
    replace(list, rows.length > 0 ? table({ label: "Batches", heads: HEADS, numbers: NUMBERS, rows }) : nothing());
    replace(pages, ...pageLinks("batches", query, found.nextPageToken));
  }
}

function batchRow({ id, status: state, action, filter, counts, createdAt }) {
  return row({
    Status: element("td", status(state)),
    Batch: element("td.id", element("a.id", { href: `batch?id=${encodeURIComponent(id)}` }, id)),
    Action: ACTIONS[action].word,
    Filters: element("td.why", filtersText(filter)),
    Done: element("td.number", count(counts.done)),
    Skipped: element("td.number", count(counts.skipped)),
    Failed: element("td.number", count(counts.failed)),
    Created: element("td.when", age(createdAt)),
  });
}

function nothing() {
  const tasks = element("a", { href: "tasks" }, "Tasks");
  return element("p.empty", "You have asked for none. Under ", tasks, " all that fit the filters can be selected.");
}
