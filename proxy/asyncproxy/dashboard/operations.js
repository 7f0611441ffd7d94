/* What may be asked for: the list, and of one its schema and a form to submit it. */

import { ask, ProblemError } from "./api.js";
import { declaredOperations } from "./declared.js";
import { element, facts, replace, row, table } from "./elements.js";
import { pauseButton, pauseState } from "./pausing.js";
import { poll } from "./polling.js";
import { showSubmission } from "./submission.js";
import { count, lines } from "./written.js";

const SECONDS = 15;
const HEADS = ["Operation", "What it does", "Call", "Queued", "Running", "Limits", "State", ""];

export function show(main, rights) {
  const query = new URLSearchParams(location.search);
  const name = query.get("operation");
  const about = element("div");
  const state = element("div");
  const call = element("div.columns.two");
  main.append(element("h1", name ?? "Operations"), about, state, call);
  let operations = null;
  const loop = poll(look, { seconds: SECONDS, onProblem: refused });

  async function look(signal) {
    if (operations === null) {
      operations = await declaredOperations(signal);
      if (name !== null && !operations.has(name)) throw new Error(`There is no operation ${name}.`);
      if (name !== null) await showOne(operations.get(name), signal);
    }
    const { queues } = await ask("/queues", { signal });
    const standing = new Map(queues.flatMap((queue) => queue.operations.map((each) => [each.name, each])));
    if (name === null) replace(state, listOf(operations, standing));
    else replace(state, standing.has(name) && element("div.standing", stateOf(standing.get(name))));
  }

  async function showOne(operation, signal) {
    const form = element("section");
    const schema = operation.schema && element("pre", { tabindex: "0", "aria-label": "Schema" }, lines(operation.schema));
    const declared = element("section", element("h2", "Schema"), schema ?? element("p.empty", "It takes no JSON."));
    const tasks = element("a", { href: `tasks?operation=${encodeURIComponent(operation.name)}` }, "Its tasks");
    replace(
      about,
      element("p", operation.summary, operation.description && ` – ${operation.description}`),
      facts({ Call: element("code", `${operation.method} ${operation.path}`), Tasks: tasks }),
    );
    replace(call, form, declared);
    if (rights.may("submit", operation.name)) showSubmission(form, operation, await likeOf(signal));
    else replace(form, element("h2", { id: "submit" }, "Submit"), element("p.empty", "You may not submit it."));
  }

  /** The arguments of the task that another is to be like; null where there is none. */
  async function likeOf(signal) {
    const id = query.get("like");
    if (id === null) return null;
    const task = await ask(`/tasks/${encodeURIComponent(id)}`, { signal });
    return task.arguments ?? null;
  }

  function listOf(known, standing) {
    const rows = [...known.values()].map((operation) => operationRow(operation, standing.get(operation.name)));
    if (rows.length === 0) return element("p.empty", "No operation is declared.");
    return table({ label: "Operations", heads: HEADS, numbers: ["Queued", "Running"], rows });
  }

  function operationRow({ name: each, summary, method, path }, stands) {
    const link = element("a", { href: `operations?operation=${encodeURIComponent(each)}` }, each);
    return row({
      Operation: element("th", { scope: "row" }, link),
      "What it does": summary,
      Call: element("td", element("code", `${method} ${path}`)),
      Queued: element("td.number", stands ? count(stands.queued) : "–"),
      Running: element("td.number", stands ? count(stands.running) : "–"),
      Limits: stands && stands.limits.length > 0 ? stands.limits.join(", ") : "–",
      State: element("td", stands ? pauseState(stands.paused) : "–"),
      "": element("td.actions", stands && actions(stands)),
    });
  }

  function stateOf(stands) {
    const numbers = `${count(stands.queued)} queued, ${count(stands.running)} running`;
    return [element("small", `${numbers}, `), pauseState(stands.paused), " ", actions(stands)];
  }

  function actions({ name: each, paused }) {
    if (!rights.mayOperate([each])) return null;
    return pauseButton({ kind: "operations", name: each, paused }, () => loop.now());
  }

  function refused(error) {
    const isOff = error instanceof ProblemError && error.status === 404 && operations === null;
    const why = isOff ? "This proxy does not tell its operations (ASYNCAPIPROXY_DOCS=false)." : error.message;
    replace(state, element("p.empty", why));
  }
}
