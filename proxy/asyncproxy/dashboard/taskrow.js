/* A task as a row of a table: where it stands, what it is, whose, since when, and why. */

import { element, row } from "./elements.js";
import { status } from "./status.js";
import { age, andNext, attemptOf } from "./written.js";

export const TASK_HEADS = ["Status", "Task", "Operation", "Caller", "Attempt", "Created", "Why"];

/** `first` is a cell before all others, if there is one. */
export function taskRow(task, first = {}) {
  return row({
    ...first,
    Status: element("td", taskStatus(task)),
    Task: element("td.id", taskLink(task.id)),
    Operation: task.operation,
    Caller: ownerOf(task),
    Attempt: element("td.number", attemptOf(task)),
    Created: element("td.when", age(task.createdAt)),
    Why: element("td.why", whyOf(task)),
  });
}

/** A link to a task, by its whole id. */
export function taskLink(id) {
  return element("a.id", { href: `task?id=${encodeURIComponent(id)}` }, id);
}

/** Where a task stands, and that it is about to be cancelled. */
export function taskStatus(task) {
  const isEnding = task.cancelRequested && !task.done;
  return status(task.status, isEnding ? `${task.status}, to be cancelled` : task.status);
}

/** What it waits for, how it failed, or what its handler says. */
export function whyOf(task) {
  if (task.error) return task.error.detail || task.error.title;
  if (task.message) return task.message;
  if (task.status === "failed" && task.response) return refusalOf(task.response);
  const last = task.attempts.at(-1);
  if (task.status === "queued" && task.nextAttemptAt) {
    const why = last?.detail ?? (last ? last.outcome : "");
    return andNext(why, task.nextAttemptAt);
  }
  return "";
}

/** An upstream's own refusal is the answer, and may say why. */
function refusalOf({ status: code, body }) {
  const detail = body?.detail ?? body?.title ?? body?.message;
  return `The upstream answered ${code}${typeof detail === "string" ? `: ${detail}` : ""}`;
}

/** Who has submitted it, and of which tenant. */
export function ownerOf({ principal, tenant }) {
  if (principal === null && tenant === null) return "–";
  return [principal ?? "–", tenant && element("small", ` of ${tenant}`)];
}
