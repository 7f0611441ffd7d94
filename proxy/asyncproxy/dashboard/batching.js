/* One action on all tasks that fit filters: counted first, then carried out by the proxies as a batch. */

import { ACTIONS } from "./actions.js";
import { AwayError, tell } from "./api.js";
import { confirmed } from "./confirmation.js";
import { element } from "./elements.js";
import { filtersText } from "./filters.js";
import { notify } from "./notices.js";
import { count, many } from "./written.js";

const PATH = "/tasks:batch";

/** Count them, ask, and have it done; then the page shows the batch. */
export async function actOnAll(action, filter) {
  const counted = await countOf(action, filter);
  if (counted === null) return;
  if (counted.matched === 0) notify(`There is none to ${action}.`);
  else if (await confirmed(questionOf(counted, filter))) await make(action, filter, counted);
}

async function countOf(action, filter) {
  try {
    return await tell("POST", PATH, { action, filter, dryRun: true });
  } catch (error) {
    notify(error.message, { isBad: true });
    return null;
  }
}

function questionOf({ action, matched, statuses, isComplete }, filter) {
  const { word } = ACTIONS[action];
  const atLeast = (isCut, text) => (isCut ? `at least ${text}` : text);
  // Where counting has ended early, it has at as many of one status as of any other.
  const most = isComplete ? Infinity : Math.max(...Object.values(statuses));
  const byStatus = Object.entries(statuses).map(([status, number]) =>
    atLeast(number >= most, `${count(number)} ${status}`),
  );
  return {
    question: `${word} ${atLeast(!isComplete, many(matched, "task"))}?`,
    details: [...byStatus, `Filters: ${filtersText(filter)}`],
    answer: word,
  };
}

async function make(action, filter, { matched }) {
  try {
    const { id } = await tell("POST", PATH, { action, filter });
    location.assign(`batch?id=${encodeURIComponent(id)}&of=${matched}`);
  } catch (error) {
    // Made anew it would be done twice.
    const look = element("a", { href: "batches" }, "Look whether there is a batch");
    notify(error.message, { isBad: true, details: error instanceof AwayError ? [look] : [] });
  }
}
