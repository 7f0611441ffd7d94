/* The filters of the list: read from the page's address, and changed by a form that leads to one. */

import { element } from "./elements.js";
import { moment } from "./written.js";

const STATUSES = ["queued", "running", "succeeded", "failed", "cancelled", "expired"];
const TEXTS = {
  operation: ["Operation", "create-client"],
  label: ["Label", "team=a"],
  principal: ["Caller", ""],
  tenant: ["Tenant", ""],
};
const KNOWN = ["status", ...Object.keys(TEXTS), "created_after", "page_token"];
const ID = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i;

/** As `GET /tasks` has them; what is empty is none. */
export function filtersIn(search) {
  const given = [...new URLSearchParams(search)];
  return Object.fromEntries(given.filter(([name, value]) => KNOWN.includes(name) && value !== ""));
}

/** The form; its `showFault(name, detail)` says what is wrong with one of them. */
export function filterForm(filters) {
  const form = element(
    "form.filters",
    { role: "search", "aria-label": "Filters", novalidate: true },
    field("status", "Status", statusChoice(filters.status)),
    Object.entries(TEXTS).map(([name, [label, placeholder]]) =>
      field(name, label, input(name, { value: filters[name], placeholder, maxlength: 200 })),
    ),
    field("created_after", "Created after", afterInput(filters.created_after)),
    field("task", "Task id", input("task", { placeholder: "or one by its id", spellcheck: "false" })),
    element("div.buttons", element("button.primary", { type: "submit" }, "Show"), clearLink(filters)),
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
    const value = (given.get(name) ?? "").trim();
    if (value !== "") query.set(name, name === "created_after" ? asInstant(value) : value);
  }
  return query.size > 0 ? `?${query}` : "";
}

function asInstant(local) {
  const date = new Date(local);
  return Number.isNaN(date.getTime()) ? local : date.toISOString();
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

function afterInput(instant) {
  const isInstant = instant !== undefined && !Number.isNaN(new Date(instant).getTime());
  const value = isInstant ? moment(instant).replace(" ", "T").slice(0, 16) : null;
  return element("input", { name: "created_after", type: "datetime-local", value });
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
