/* How it stands: what is stuck and why, queues and limits, and the latest failures. */

import { ask } from "./api.js";
import { element, replace, row, table } from "./elements.js";
import { notify } from "./notices.js";
import { pauseButton, pauseState } from "./pausing.js";
import { poll } from "./polling.js";
import { limitReasons, reasonsOf } from "./reasons.js";
import { status } from "./status.js";
import { taskRow, TASK_HEADS } from "./taskrow.js";
import { age, count, many } from "./written.js";

const SECONDS = 15;
const LATEST = 5;
const NUMBERS = ["Queued", "Held", "Running", "Executors"];
const SHARED = "Queues and limits are shown to callers who may read everyone's tasks of them.";

export function show(main, rights) {
  const stuck = element("section");
  const queues = element("section");
  const limits = element("section");
  const failures = element("section");
  main.append(element("h1", "Overview"), stuck, queues, limits, failures);
  const loop = poll(look, { seconds: SECONDS, onProblem: (error) => notify(error.message, { isBad: true }) });

  async function look(signal) {
    const latest = { status: "failed", page_size: LATEST };
    const [{ queues: all }, { limits: bounds }, health, { tasks }] = await Promise.all([
      ask("/queues", { signal }),
      ask("/limits", { signal }),
      healthOf(signal),
      ask("/tasks", { query: latest, signal }),
    ]);
    const operate = (kind, { name, paused }, operations) =>
      rights.mayOperate(operations) && pauseButton({ kind, name, paused }, () => loop.now());
    replace(stuck, ...stuckOf(all, bounds, health));
    replace(queues, element("h2", { id: "queues" }, "Queues"), queueTable(all, bounds, operate));
    limits.hidden = bounds.length === 0;
    replace(limits, element("h2", { id: "limits" }, "Limits"), limitTable(bounds, operate));
    replace(failures, ...failuresOf(tasks));
  }
}

/** Its own 503 says what is away, and is no reason to look later. */
async function healthOf(signal) {
  try {
    return await ask("/ping", { signal });
  } catch (error) {
    if (error.problem?.database === undefined) throw error;
    return error.problem;
  }
}

function stuckOf(queues, limits, health) {
  const found = [
    ...["database", "broker"].flatMap((part) => awayOf(part, health[part])),
    ...queues.flatMap((queue) => reasonsOf(queue, limits)),
    ...limits.flatMap(limitReasons),
  ];
  // Each once, though a limit may be shared by operations of several queues.
  const once = new Map(found.map((reason) => [reason.text, reason]));
  const items = [...once.values()].map(({ kind, text, since, by }) =>
    element(
      "li",
      status(kind, text),
      since && element("small", ", since ", age(since)),
      by && element("small", `, by ${by}`),
    ),
  );
  const nothing = element("p", status("succeeded", "Nothing is stuck: what waits is being taken."));
  const heading = element("h2", { id: "stuck" }, "What is stuck");
  return [heading, items.length > 0 ? element("ul.reasons", items) : nothing];
}

function awayOf(part, { available, detail }) {
  if (available) return [];
  return [{ kind: "down", text: `The ${part} does not answer${detail ? `: ${detail}` : ""}` }];
}

function queueTable(queues, limits, operate) {
  if (queues.length === 0) return element("p.empty", SHARED);
  const heads = ["Queue", "Queued", "Held", "Running", "Executors", "State", ""];
  const rows = queues.flatMap((queue) => [
    row(
      {
        Queue: element("th", { scope: "row" }, queue.name),
        ...counts(queue),
        Executors: number(queue.executors),
        State: element("td", stateOf(queue, reasonsOf(queue, limits))),
        "": element("td.actions", operate("queues", queue, queue.operations.map(({ name }) => name))),
      },
    ),
    ...queue.operations.map((operation) =>
      row(
        {
          Operation: element("th.inner", { scope: "row" }, operationLink(operation.name)),
          ...counts(operation),
          Executors: element("td.none"),
          State: element("td", operation.paused ? pauseState(operation.paused) : limitsText(operation)),
          "": element("td.actions", operate("operations", operation, [operation.name])),
        },
        { class: "inner" },
      ),
    ),
  ]);
  return table({ label: "Queues and their operations", heads, numbers: NUMBERS, rows });
}

function limitTable(limits, operate) {
  const heads = ["Limit", "Running", "Held", "Starts", "Upstream", "State", ""];
  const rows = limits.map((limit) =>
    row({
      Limit: element("th", { scope: "row" }, limit.name, element("small", limit.operations.join(", "))),
      Running: runningOf(limit),
      Held: number(limit.held),
      Starts: element("td.number", startsOf(limit)),
      Upstream: element("td", breakerOf(limit.breaker)),
      State: element("td", pauseState(limit.paused)),
      "": element("td.actions", operate("limits", limit, limit.operations)),
    }),
  );
  return table({ label: "Limits", heads, numbers: ["Running", "Held", "Starts"], rows });
}

function failuresOf(tasks) {
  const heading = element("h2", { id: "failures" }, "Latest failures");
  if (tasks.length === 0) return [heading, element("p.empty", "No task has failed.")];
  const rows = tasks.map((task) => taskRow(task));
  const all = element("p", element("a", { href: "tasks?status=failed" }, "All failed tasks"));
  return [heading, table({ label: "Latest failures", heads: TASK_HEADS, rows }), all];
}

function stateOf(queue, reasons) {
  if (queue.paused) return pauseState(queue.paused);
  if (reasons.length > 0) return status(reasons[0].kind, reasons[0].text);
  if (queue.published > 0) return status("queued", `${many(queue.published, "task")} on the way`);
  if (queue.held > 0) return status("queued", "what waits has its turn soon");
  if (queue.queued > 0) return status("queued", "what waits is not due yet");
  return queue.running > 0 ? status("running", "working") : status("succeeded", "idle");
}

function limitsText({ limits }) {
  return limits.length > 0 && element("small", `limits: ${limits.join(", ")}`);
}

function operationLink(name) {
  return element("a", { href: `tasks?operation=${encodeURIComponent(name)}` }, name);
}

function counts({ queued, held, running }) {
  return { Queued: number(queued), Held: number(held), Running: number(running) };
}

function number(value) {
  return element("td.number", value === 0 ? element("span.zero", "0") : count(value));
}

function runningOf({ name, running, concurrency }) {
  if (concurrency === null) return number(running);
  const full = { value: Math.min(running, concurrency), max: concurrency, "aria-label": `${name}: running` };
  return element("td.number", element("meter", full), ` ${count(running)} of ${count(concurrency)}`);
}

function startsOf({ ratePerSecond, startsLeft, declared }) {
  if (ratePerSecond !== null) return `${ratePerSecond} /s, ${count(startsLeft ?? 0)} left`;
  const each = declared.perKey?.ratePerSecond;
  return each ? `${each} /s each` : "any";
}

function breakerOf(breaker) {
  if (breaker === null) return "–";
  if (breaker.state === "closed") return status("succeeded", "up");
  if (breaker.state === "recovering") return status("succeeded", "up again, recovering");
  const next = breaker.probeAt && element("small", ", next try ", age(breaker.probeAt));
  return [status("down", "down, breaker open"), element("small", " since ", age(breaker.openedAt)), next];
}
