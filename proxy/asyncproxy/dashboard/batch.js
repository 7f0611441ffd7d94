/* One batch: what is to be done with which tasks, how far it is, and what came of it. */

import { ACTIONS } from "./actions.js";
import { ask, tell } from "./api.js";
import { button, element, facts, replace } from "./elements.js";
import { filtersText } from "./filters.js";
import { announce, notify } from "./notices.js";
import { listAddress } from "./pages.js";
import { poll } from "./polling.js";
import { status } from "./status.js";
import { ownerOf } from "./taskrow.js";
import { age, count, many } from "./written.js";

const SECONDS = 2;
const FAILURES = {
  "quota-exceeded": "whoever submitted them has as many tasks as they may",
};

export function show(main) {
  const query = new URLSearchParams(location.search);
  const id = query.get("id") ?? "";
  const expected = Number(query.get("of"));
  const path = `/batches/${encodeURIComponent(id)}`;
  const title = element("h1", "Batch ", element("span.id", id));
  const head = element("div.head");
  const progress = element("div");
  const told = element("div.columns.two");
  const all = element("p", element("a", { href: "batches" }, "All batches"));
  main.append(title, head, progress, told, all);
  let isFollowed = false;
  const loop = poll(look, { seconds: SECONDS, onProblem: gone });

  async function look(signal) {
    const batch = await ask(path, { signal });
    const isOver = batch.finishedAt !== null;
    const named = `${ACTIONS[batch.action].word} all that fit`;
    replace(head, status(batch.status), element("span", " ", named), !isOver && stopButton());
    replace(progress, progressOf(batch, expected));
    replace(told, outcomeOf(batch), aboutBatch(batch));
    if (isOver && isFollowed) announce(`The batch is over: ${doneText(batch)}.`);
    isFollowed = true;
    return isOver;
  }

  function stopButton() {
    const stop = async () => {
      try {
        await tell("POST", `${path}/cancel`);
      } catch (error) {
        notify(error.message, { isBad: true });
      }
      loop.now();
    };
    return element("div.buttons", button("Stop", stop, { id: "stop" }));
  }

  function gone(error) {
    replace(main, title, element("p.empty", error.message), all);
  }
}

/** `expected` is how many there were before it began, or 0 where that is not known. */
function progressOf({ status: state, counts }, expected) {
  const { done, skipped, failed } = counts;
  const turns = done + skipped + failed;
  if (state === "succeeded") return null;
  if (state === "cancelled") {
    return element("p.callout", `Stopped after ${many(turns, "task")}. What was done stays; the others were left alone.`);
  }
  const isKnown = expected >= turns && expected > 0;
  const value = isKnown ? { value: turns, max: expected } : {};
  const bar = element("progress", { ...value, "aria-label": "Progress" });
  return element("p.callout", bar, isKnown ? `${count(turns)} of about ${many(expected, "task")}` : many(turns, "task"));
}

function outcomeOf(batch) {
  const { done, skipped, failed } = batch.counts;
  const reasons = Object.entries(batch.failures).map(([name, number]) =>
    element("li", `${many(number, "task")}: ${FAILURES[name] ?? name}`),
  );
  return element(
    "section",
    element("h2", "What came of it"),
    facts({
      Done: doneText(batch),
      Skipped: [count(skipped), skipped > 0 && element("small", " changed by somebody else before their turn")],
      Failed: count(failed),
    }),
    reasons.length > 0 && element("ul", reasons),
  );
}

function aboutBatch(batch) {
  const { action, filter } = batch;
  return element(
    "section",
    element("h2", "About it"),
    facts({
      Action: ACTIONS[action].word,
      Filters: element("a", { href: listAddress("tasks", filter) }, filtersText(filter)),
      Caller: ownerOf(batch),
      Created: age(batch.createdAt),
      Finished: batch.finishedAt && age(batch.finishedAt),
    }),
  );
}

function doneText({ action, counts }) {
  return `${many(counts.done, "task")} ${ACTIONS[action].done}`;
}
