/* One task: where it stands and why, what happened to it, what went in and what came out. */

import { act, ACTIONS, fitting } from "./actions.js";
import { addressOf, ask } from "./api.js";
import { answerOf } from "./answer.js";
import { curl, curlDetails } from "./curl.js";
import { showDeliveries } from "./deliveries.js";
import { button, element, facts, replace } from "./elements.js";
import { follow } from "./following.js";
import { announce } from "./notices.js";
import { poll } from "./polling.js";
import { ownerOf, taskStatus, whyOf } from "./taskrow.js";
import { timeline } from "./timeline.js";
import { age, attemptOf, lines } from "./written.js";

const AGAIN_SECONDS = 5;

export function show(main, rights) {
  const id = new URLSearchParams(location.search).get("id") ?? "";
  const path = `/tasks/${encodeURIComponent(id)}`;
  const head = element("div.head");
  const why = element("div");
  const told = element("div.columns");
  const answer = element("section");
  const deliveries = element("section");
  main.append(
    element("h1", "Task ", element("span.id", id)),
    head,
    why,
    told,
    answer,
    deliveries,
    curlDetails(() => curl("GET", addressOf(path))),
  );
  let known = null;
  let deliveriesShown = null;
  let loop = poll(look, { seconds: AGAIN_SECONDS, onProblem: gone });

  async function look(signal) {
    if (known === null) showTask(await ask(path, { signal }));
    if (known.done) return true;
    return follow(id, { onTask: showTask, signal });
  }

  function showTask(task) {
    if (known !== null && known.status !== task.status) announce(`The task is ${task.status}.`);
    known = task;
    replace(head, taskStatus(task), element("span", " ", task.operation), buttons(task));
    replace(why, whyBox(task));
    replace(told, aboutTask(task), timelineOf(task), argumentsOf(task));
    replace(answer, ...answerOf(task, path));
    if (task.done && deliveriesShown === null) deliveriesShown = showDeliveries(deliveries, task, rights);
  }

  function buttons(task) {
    const names = Object.keys(ACTIONS).filter((name) => fitting(name, [task], rights).length > 0);
    const again = rights.may("submit", task.operation) && task.arguments !== undefined;
    const like = `operations?operation=${encodeURIComponent(task.operation)}&like=${encodeURIComponent(id)}`;
    return element(
      "div.buttons",
      names.map((name) => button(ACTIONS[name].word, () => doIt(name), { id: `do-${name}` })),
      again && element("a", { href: like }, "Submit one like it"),
    );
  }

  async function doIt(name) {
    if (await act(name, [known])) reload();
  }

  /** What is followed ends with the task, and begins with it anew. */
  function reload() {
    loop.stop();
    known = null;
    deliveriesShown?.stop();
    deliveriesShown = null;
    deliveries.replaceChildren();
    loop = poll(look, { seconds: AGAIN_SECONDS, onProblem: gone });
  }

  function gone(error) {
    replace(main, element("h1", "Task ", element("span.id", id)), element("p.empty", error.message));
  }
}

function whyBox(task) {
  const why = whyOf(task);
  const held = task.heldBy && element("small", ` (held by the ${task.heldBy.kind} ${task.heldBy.name})`);
  const progress =
    task.progress !== null &&
    !task.done &&
    element("progress", { value: task.progress, max: 100, "aria-label": "Progress" });
  if (why === "" && !progress) return null;
  return element(task.status === "failed" ? "p.callout.bad" : "p.callout", progress, why, held);
}

function aboutTask(task) {
  const labels = Object.entries(task.labels).map(([name, value]) => element("code", `${name}=${value}`));
  return element(
    "section",
    element("h2", "About it"),
    facts({
      Operation: task.operation,
      Caller: ownerOf(task),
      Priority: String(task.priority),
      Attempt: attemptOf(task),
      Created: age(task.createdAt),
      Started: task.startedAt && age(task.startedAt),
      Finished: task.finishedAt && age(task.finishedAt),
      Deadline: task.deadline && age(task.deadline),
      "Next attempt": task.nextAttemptAt && age(task.nextAttemptAt),
      "Upstream job": task.upstreamJob && [task.upstreamJob.url, element("small", ` ${task.upstreamJob.state ?? ""}`)],
      Labels: labels.length > 0 ? labels : null,
      Batch: task.batch,
    }),
  );
}

function argumentsOf(task) {
  const text =
    task.arguments === undefined
      ? element("p.empty", "They are not shown.")
      : element("pre", { tabindex: "0", "aria-label": "Arguments" }, lines(task.arguments));
  return element("section", element("h2", "Arguments"), text);
}

function timelineOf(task) {
  return element("section", element("h2", "What happened"), timeline(task));
}
