/* What has happened to a task, in its order, and what comes next. */

import { element } from "./elements.js";
import { status } from "./status.js";
import { age, took } from "./written.js";

const KINDS = { succeeded: "succeeded", failed: "failed", cancelled: "cancelled", expired: "expired" };

export function timeline(task) {
  const items = [
    entry(status("queued", "accepted"), task.createdAt),
    ...task.attempts.map(attempt),
    task.status === "running" && entry(status("running", `attempt ${task.attempt} runs`), null),
    task.upstreamJob &&
      !task.done &&
      entry(status("running", "the upstream works on its job"), null, task.upstreamJob.state),
    task.nextAttemptAt && entry(status("queued", "next attempt"), task.nextAttemptAt),
    task.finishedAt && entry(status(task.status), task.finishedAt),
  ];
  return element("ol.timeline", items.filter(Boolean));
}

function attempt({ number, outcome, startedAt, finishedAt, executor, responseStatus, detail }) {
  const said = [
    startedAt && `took ${took(startedAt, finishedAt)}`,
    responseStatus && `upstream answered ${responseStatus}`,
    executor && `by ${executor}`,
  ].filter(Boolean);
  const what = status(KINDS[outcome] ?? "down", `attempt ${number}: ${outcome}`);
  return entry(what, startedAt ?? finishedAt, detail, said.join(", "));
}

function entry(what, instant, detail, small) {
  return element(
    "li",
    element("div", what, instant && element("small", " ", age(instant))),
    small && element("small", small),
    detail && element("p", detail),
  );
}
