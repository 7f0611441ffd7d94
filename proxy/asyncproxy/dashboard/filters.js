/* The filters of the list: read from the page's address, and changed by a form that leads to one. */

import { searchOf } from "./api.js";
import { element } from "./elements.js";
import { moment } from "./written.js";

const STATUSES = ["queued", "running", "succeeded", "failed", "cancelled", "expired"];
const TEXTS = {
  operation: ["Operation", "create-client"],
  label: ["Labels", "team=a, tier=1"],
  principal: ["Caller", ""],
  tenant: ["Tenant", ""],
};
const MORE_INSTANTS = {
  created_before: "Created before",
  finished_after: "Finished after",
  finished_before: "Finished before",
};
const INSTANTS = ["created_after", ...Object.keys(MORE_INSTANTS)];
const LABEL = "label";
const MORE_TEXTS = {
  batch: ["Batch", "import-2026-01-31"],
  error_type: ["Error type", "upstream-timeout"],
};
const KNOWN = ["status", ...Object.keys(TEXTS), ...Object.keys(MORE_TEXTS), ...INSTANTS, "page_token"];
const ID = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i;

/** As `GET /tasks` has them, labels as a list; what is empty is none. */
export function filtersIn(search) {
  const given = new URLSearchParams(search);
  const filters = {};
  for (const name of KNOWN) {
    const values = given.getAll(name).filter((value) => value !== "");
    if (values.length > 0) filters[name] = name === LABEL ? values : values.at(-1);
  }
  return filters;
}

/** The same for people, such as `status failed, label team=a`; where there is none, that all fit. */
export function filtersText(filters) {
  const said = [...searchOf(filters)].map(([name, value]) => {
    const words = name === "principal" ? "caller" : name.replace("_", " ");
    return `${words} ${INSTANTS.includes(name) && isInstant(value) ? moment(value) : value}`;
  });
  return said.length > 0 ? said.join(", ") : "all tasks";
}

/** The form; its `showFault(name, detail)` says what is wrong with one of them. */
export function filterForm(filters) {
  const form = element(
    "form.filters",
    { role: "search", "aria-label": "Filters", novalidate: true },
    field("status", "Status", statusChoice(filters.status)),
    textFields(TEXTS, filters),
    instantField("created_after", "Created after", filters),
    field("task", "Task id", input("task", { placeholder: "or one by its id", spellcheck: "false" })),
    element("div.buttons", element("button.primary", { type: "submit" }, "Show"), clearLink(filters)),
    moreFilters(filters),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const id = form.elements.task.value.trim();
    if (id === "") location.assign(`tasks${queryOf(form)}`);
    else if (ID.test(id)) location.assign(`task?id=${encodeURIComponent(id)}`);
    else form.showFault("task", "expected a whole id, such as 01a21f04-b050-73d1-a200-391adb50f4c7");
  });
  form.showFault = (name, detail) => {
    const place = form.elements[name];
    if (place === undefined) return;
    place.setAttribute("aria-invalid", "true");
    place.parentElement.querySelector(".fault").textContent = detail;
    place.focus();
  };
  return form;
}

function queryOf(form) {
  const given = new FormData(form);
  const query = new URLSearchParams();
  for (const name of KNOWN) {
    const typed = given.get(name) ?? "";
    const values = (name === LABEL ? typed.split(",") : [typed]).map((value) => value.trim()).filter(Boolean);
    for (const value of values) query.append(name, INSTANTS.includes(name) ? asInstant(value) : value);
  }
  return query.size > 0 ? `?${query}` : "";
}

function asInstant(local) {
  return isInstant(local) ? new Date(local).toISOString() : local;
}

function isInstant(text) {
  return text !== undefined && !Number.isNaN(new Date(text).getTime());
}

function field(name, label, control) {
  control.id = `filter-${name}`;
  const fault = element("span.fault", { id: `fault-${name}`, role: "alert" });
  control.setAttribute("aria-describedby", fault.id);
  return element("div.field", element("label", { for: control.id }, label), control, fault);
}

function input(name, attributes) {
  return element("input", { name, type: "text", autocomplete: "off", ...attributes });
}

/** Those that are seldom needed, shown where one of them is set. */
function moreFilters(filters) {
  const names = [...Object.keys(MORE_TEXTS), ...Object.keys(MORE_INSTANTS)];
  return element(
    "details",
    { open: names.some((name) => filters[name] !== undefined) },
    element("summary", "More filters"),
    element(
      "div",
      textFields(MORE_TEXTS, filters),
      Object.entries(MORE_INSTANTS).map(([name, label]) => instantField(name, label, filters)),
    ),
  );
}

function textFields(texts, filters) {
  return Object.entries(texts).map(([name, [label, placeholder]]) =>
    field(name, label, input(name, { value: [filters[name] ?? []].flat().join(", "), placeholder, maxlength: 200 })),
  );
}

function instantField(name, label, { [name]: instant }) {
  const value = isInstant(instant) ? moment(instant).replace(" ", "T").slice(0, 16) : null;
  return field(name, label, element("input", { name, type: "datetime-local", value }));
}

function statusChoice(chosen) {
  const options = ["", ...STATUSES].map((each) =>
    element("option", { value: each, selected: each === chosen }, each || "any"),
  );
  return element("select", { name: "status" }, options);
}

function clearLink(filters) {
  return Object.keys(filters).length > 0 && element("a", { href: "tasks" }, "Clear");
}
