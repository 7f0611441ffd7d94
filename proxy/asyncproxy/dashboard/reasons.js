/* Why tasks of a queue wait, by how queues and limits stand: what, since when, by whom. */

import { count, many } from "./written.js";

/** The reasons of one queue, the gravest first: `{kind, text, since, by}`. */
export function reasonsOf(queue, limits) {
  const waits = queue.queued > 0;
  return [
    queue.paused && pause(`Queue ${queue.name} is paused`, queue.paused),
    waits && queue.executors === 0 && { kind: "down", text: `No executor takes the tasks of queue ${queue.name}` },
    ...queue.operations.filter((each) => each.paused).map(ofOperation),
    ...limitsOf(queue, limits).flatMap(limitReasons),
  ].filter(Boolean);
}

/** Why tasks that share a limit wait. */
export function limitReasons(limit) {
  const { name, breaker, concurrency, running, held, startsLeft, declared } = limit;
  const isFull = concurrency !== null && running >= concurrency;
  const reasons = [
    limit.paused && pause(`Limit ${name} is paused`, limit.paused),
    breaker?.state === "open" && ofBreaker(name, breaker),
    held > 0 && breaker?.state === "recovering" && {
      kind: "queued",
      text: `Limit ${name} recovers: its upstream is up again, ${count(held)} wait`,
    },
    held > 0 && isFull && {
      kind: "queued",
      text: `Limit ${name}: ${count(running)} of ${count(concurrency)} run, ${count(held)} wait`,
    },
    held > 0 && !isFull && startsLeft === 0 && {
      kind: "queued",
      text: `Limit ${name}: ${limit.ratePerSecond} may start in a second, ${count(held)} wait`,
    },
  ].filter(Boolean);
  // How much each of them has is not told: it is the reason where nothing else is.
  if (reasons.length > 0 || held === 0 || !declared.perKey) return reasons;
  return [{ kind: "queued", text: `Limit ${name} bounds each of those who share it, ${count(held)} wait` }];
}

function limitsOf(queue, limits) {
  const named = new Set(queue.operations.flatMap((operation) => operation.limits));
  return limits.filter((limit) => named.has(limit.name));
}

function ofOperation({ name, paused, queued }) {
  return pause(`${name} is paused, ${many(queued, "task")} wait${queued === 1 ? "s" : ""}`, paused);
}

function ofBreaker(name, { failures, openedAt }) {
  const why = `its upstream failed ${many(failures, "time")} in a row`;
  return { kind: "down", text: `Limit ${name}: its breaker is open, ${why}`, since: openedAt };
}

function pause(text, { since, by }) {
  return { kind: "paused", text, since, by };
}
