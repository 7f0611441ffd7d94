/* The tasks that fit the filters in the address, and what can be done with those selected, or all. */

import { act, ACTIONS, fitting } from "./actions.js";
import { ask } from "./api.js";
import { actOnAll } from "./batching.js";
import { button, element, replace, table } from "./elements.js";
import { filterForm, filtersIn } from "./filters.js";
import { announce } from "./notices.js";
import { pageLinks } from "./pages.js";
import { poll } from "./polling.js";
import { TASK_HEADS, taskRow } from "./taskrow.js";
import { many } from "./written.js";

const SECONDS = 8;
const PAGE_SIZE = 25;

export function show(main, rights) {
  const filters = filtersIn(location.search);
  const { page_token: _, ...filter } = filters;
  const mayWithSome = (name) => rights.mayWithSome(name, filters.operation);
  const form = filterForm(filters);
  const bar = element("div.bar");
  const list = element("div.list", { "aria-busy": "true" });
  const pages = element("nav.pages", { "aria-label": "Pages of the list" });
  const batches = Object.keys(ACTIONS).some(mayWithSome) && element("a", { href: "batches" }, "Batches");
  main.append(element("div.head", element("h1", "Tasks"), batches), form, bar, list, pages);

  const selected = new Set();
  /* Whether all that fit are, on whatever page. */
  let isAll = false;
  let page = { tasks: [], nextPageToken: null };
  let written = "";
  const loop = poll(look, { seconds: SECONDS, onProblem: refused });

  async function look(signal) {
    const found = await ask("/tasks", { query: { page_size: PAGE_SIZE, ...filters }, signal });
    const text = JSON.stringify(found);
    if (text === written) return;
    if (written !== "") announce(changes(page.tasks, found.tasks));
    written = text;
    page = found;
    const there = new Set(page.tasks.map(({ id }) => id));
    for (const id of selected) if (!there.has(id)) selected.delete(id);
    showPage();
  }

  function showPage() {
    list.removeAttribute("aria-busy");
    replace(list, page.tasks.length > 0 ? tableOf(page.tasks) : nothing(filters));
    replace(pages, ...pageLinks("tasks", filters, page.nextPageToken));
    showBar();
  }

  function tableOf(tasks) {
    const all = checkbox("select-all", "Select all on this page", (isOn) => {
      isAll = false;
      for (const { id } of tasks) isOn ? selected.add(id) : selected.delete(id);
      showPage();
    });
    all.checked = isAll || tasks.every(({ id }) => selected.has(id));
    const rows = tasks.map((task) => taskRow(task, { Select: element("td.select", boxOf(task)) }));
    const head = element("label.all", all, element("span", "Select all on this page"));
    return table({ label: "Tasks", heads: [head, ...TASK_HEADS], rows });
  }

  function boxOf({ id }) {
    const box = checkbox(`select-${id}`, `Select task ${id}`, (isOn) => {
      if (isAll) for (const task of page.tasks) selected.add(task.id);
      isAll = false;
      isOn ? selected.add(id) : selected.delete(id);
      document.getElementById("select-all").checked = selected.size === page.tasks.length;
      showBar();
    });
    box.checked = isAll || selected.has(id);
    return box;
  }

  function showBar() {
    const tasks = page.tasks.filter(({ id }) => selected.has(id));
    const mayHere = (name) => page.tasks.some(({ operation }) => rights.may(name, operation));
    const actions = Object.keys(ACTIONS).filter(isAll ? mayWithSome : mayHere);
    const buttons = actions.map((name) => (isAll ? allButton(name) : actButton(name, tasks)));
    const some = tasks.length > 0 ? `${many(tasks.length, "task")} selected` : shownText(page, filters);
    replace(bar, element("p", isAll ? allText(filter) : some, chooseButton()), element("div.buttons", buttons));
  }

  function chooseButton() {
    if (!isAll && (page.tasks.length === 0 || !Object.keys(ACTIONS).some(mayWithSome))) return null;
    const isFiltered = Object.keys(filter).length > 0;
    const word = isFiltered ? "Select all that fit the filters" : "Select all tasks";
    const press = () => {
      isAll = !isAll;
      selected.clear();
      showPage();
    };
    return button(isAll ? "Select none" : word, press, { id: "select-whole", class: "quiet" });
  }

  function allButton(name) {
    const { word, statuses } = ACTIONS[name];
    const made = button(`${word} all`, () => actOnAll(name, filter), { id: `${name}-selected` });
    made.disabled = filter.status !== undefined && !statuses.includes(filter.status);
    return made;
  }

  function actButton(name, tasks) {
    const fit = fitting(name, tasks, rights);
    const press = async () => {
      if (await act(name, fit)) loop.now();
    };
    const made = button(fit.length > 0 ? `${ACTIONS[name].word} ${fit.length}` : ACTIONS[name].word, press);
    made.id = `${name}-selected`;
    made.disabled = fit.length === 0;
    return made;
  }

  function refused(error) {
    list.removeAttribute("aria-busy");
    const faults = error.problem?.errors ?? [];
    for (const { parameter, detail } of faults) form.showFault(parameter, detail);
    replace(list, element("p.empty", faults.length > 0 ? "The filters cannot be used." : error.message));
  }
}

function changes(before, after) {
  const known = new Map(before.map(({ id, status }) => [id, status]));
  const added = after.filter(({ id }) => !known.has(id)).length;
  const moved = after.filter(({ id, status }) => known.has(id) && known.get(id) !== status).length;
  const said = [
    added > 0 && `${many(added, "task")} more`,
    moved > 0 && `${many(moved, "task")} changed status`,
  ].filter(Boolean);
  return said.length > 0 ? `${said.join(", ")}.` : "";
}

function shownText({ tasks, nextPageToken }, filters) {
  if (tasks.length === 0) return "";
  const more = nextPageToken === null ? "" : ", and more";
  return `${many(tasks.length, "task")}${more}, the newest first${filters.page_token ? " of this page" : ""}`;
}

function allText(filter) {
  return Object.keys(filter).length > 0 ? "All tasks that fit the filters selected" : "All tasks selected";
}

function nothing(filters) {
  if (filters.page_token) return element("p.empty", "There are no older tasks.");
  if (Object.keys(filters).length > 0) {
    return element("p.empty", "No task fits. ", element("a", { href: "tasks" }, "Clear the filters"));
  }
  const submit = element("a", { href: "operations" }, "Submit one");
  return element("p.empty", "There are no tasks yet. ", submit);
}

function checkbox(id, label, onChange) {
  const box = element("input", { type: "checkbox", id, "aria-label": label });
  box.addEventListener("change", () => onChange(box.checked));
  return box;
}

