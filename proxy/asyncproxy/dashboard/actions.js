/* What can be done with tasks: which fit, whether it is really meant, and what became of it. */

import { tell } from "./api.js";
import { confirmed } from "./confirmation.js";
import { notify } from "./notices.js";
import { many } from "./written.js";

const AT_ONCE = 4;
const MOST_TOLD = 5;
const UNSUCCESSFUL = ["failed", "cancelled", "expired"];

/** By their names as the API has them; `statuses` are those of the tasks that each is for. */
export const ACTIONS = {
  cancel: {
    word: "Cancel",
    done: "cancelled",
    statuses: ["queued", "running"],
    run: (task) => tell("POST", `/tasks/${task.id}/cancel`),
  },
  retry: {
    word: "Retry",
    done: "queued anew",
    statuses: UNSUCCESSFUL,
    run: (task) => tell("POST", `/tasks/${task.id}/retry`),
  },
  delete: {
    word: "Delete",
    done: "deleted",
    statuses: ["succeeded", ...UNSUCCESSFUL],
    run: (task) => tell("DELETE", `/tasks/${task.id}`),
  },
};

/** Those of the tasks with which the caller may do this now. */
export function fitting(name, tasks, rights) {
  return tasks.filter(
    (task) =>
      ACTIONS[name].statuses.includes(task.status) &&
      !(name === "cancel" && task.cancelRequested) &&
      rights.may(name, task.operation),
  );
}

/** Ask, and do it with each of them; whether it was meant. */
export async function act(name, tasks) {
  const { word, done, run } = ACTIONS[name];
  const question = `${word} ${many(tasks.length, "task")}?`;
  if (!(await confirmed({ question, details: groups(tasks), answer: word }))) return false;
  const refusals = await withEach(tasks, run);
  const text = `${many(tasks.length - refusals.length, "task")} ${done}.`;
  if (refusals.length === 0) notify(text);
  else {
    const untold = refusals.length - MOST_TOLD;
    const details = refusals.slice(0, MOST_TOLD);
    if (untold > 0) details.push(`and ${untold} more`);
    notify(`${text} ${many(refusals.length, "task")} not:`, { isBad: true, details });
  }
  return true;
}

/** Of which operation, and where they stand. */
function groups(tasks) {
  const found = new Map();
  for (const { operation, status } of tasks) {
    const group = `${operation}, ${status}`;
    found.set(group, (found.get(group) ?? 0) + 1);
  }
  return [...found].map(([group, number]) => `${number} of ${group}`);
}

async function withEach(tasks, run) {
  const refusals = [];
  const waiting = [...tasks];
  const work = async () => {
    for (let task = waiting.shift(); task !== undefined; task = waiting.shift()) {
      try {
        await run(task);
      } catch (error) {
        refusals.push(`${task.id}: ${error.message}`);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return refusals;
}
