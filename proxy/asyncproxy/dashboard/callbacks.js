/* The latest deliveries, and the receivers that fail: tasks of the operation `callback`. */

import { act, fitting } from "./actions.js";
import { ask } from "./api.js";
import { lastAnswer } from "./deliveries.js";
import { button, element, replace, row, table } from "./elements.js";
import { poll } from "./polling.js";
import { status } from "./status.js";
import { taskLink, taskStatus } from "./taskrow.js";
import { age, count } from "./written.js";

const SECONDS = 15;
const PAGE_SIZE = 25;
const OPERATION = "callback";
const HEADS = ["Status", "Receiver", "Of task", "Told of", "Attempts", "Last answer", "Created", ""];

export function show(main, rights) {
  const receivers = element("section");
  const latest = element("section");
  main.append(element("h1", "Callbacks"), receivers, latest);
  let written = "";
  const loop = poll(look, {
    seconds: SECONDS,
    onProblem: (error) => replace(latest, element("p.empty", error.message)),
  });

  async function look(signal) {
    // Who is told, and of which task, stands in their arguments.
    const query = { operation: OPERATION, page_size: PAGE_SIZE, view: "full" };
    const { tasks } = await ask("/tasks", { query, signal });
    const text = JSON.stringify(tasks);
    if (text === written) return;
    written = text;
    const heading = element("h2", { id: "latest" }, "Latest deliveries");
    if (tasks.length === 0) {
      receivers.replaceChildren();
      const none = "Nobody was told of a task's end yet, or you may not read who was.";
      replace(latest, heading, element("p.empty", none));
      return;
    }
    replace(receivers, ...receiverTable(tasks));
    const rows = tasks.map(deliveryRow);
    const all = element("p", element("a", { href: `tasks?operation=${OPERATION}` }, "All deliveries"));
    replace(latest, heading, table({ label: "Latest deliveries", heads: HEADS, rows }), all);
  }

  function deliveryRow(task) {
    const canRetry = fitting("retry", [task], rights).length > 0;
    const again = async () => {
      if (await act("retry", [task])) loop.now();
    };
    const told = task.arguments?.task;
    return row({
      Status: element("td", taskStatus(task)),
      Receiver: element("td.why", task.arguments?.url ?? "–"),
      "Of task": element("td.id", told ? taskLink(told.id) : "–"),
      "Told of": told?.status ?? "–",
      Attempts: element("td.number", String(task.attempt)),
      "Last answer": element("td.why", lastAnswer(task)),
      Created: element("td.when", age(task.createdAt)),
      "": element("td.actions", canRetry && button("Retry", again, { id: `retry-${task.id}` })),
    });
  }
}

function receiverTable(tasks) {
  const failing = receiversOf(tasks).filter(({ failed, waiting }) => failed + waiting > 0);
  const heading = element("h2", { id: "receivers" }, "Failing receivers");
  if (failing.length === 0) return [heading, element("p", status("succeeded", "None of the latest failed."))];
  const heads = ["Receiver", "Failed", "To be told again", "Told"];
  const rows = failing.map(({ name, failed, waiting, succeeded }) =>
    row({
      Receiver: element("th", { scope: "row" }, status("down", name)),
      Failed: element("td.number", count(failed)),
      "To be told again": element("td.number", count(waiting)),
      Told: element("td.number", count(succeeded)),
    }),
  );
  return [heading, table({ label: "Failing receivers", heads, numbers: heads.slice(1), rows })];
}

/** By scheme, host and port, how many of the deliveries failed, are tried again or succeeded. */
function receiversOf(tasks) {
  const found = new Map();
  for (const task of tasks) {
    const name = originOf(task.arguments?.url);
    const counts = found.get(name) ?? { name, failed: 0, waiting: 0, succeeded: 0 };
    if (task.status === "failed") counts.failed += 1;
    else if (task.status === "succeeded") counts.succeeded += 1;
    else if (task.attempts.length > 0) counts.waiting += 1;
    found.set(name, counts);
  }
  return [...found.values()];
}

function originOf(url) {
  return URL.canParse(url) ? new URL(url).origin : "–";
}
