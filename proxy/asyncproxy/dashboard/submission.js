/* The form by which an operation is submitted, and what came of it. */

import { addressOf, problemOf, sendAny } from "./api.js";
import { bodyText } from "./answer.js";
import { curl, curlDetails } from "./curl.js";
import { element, replace } from "./elements.js";
import { exampleOf } from "./example.js";
import { announce } from "./notices.js";
import { lineOf, placeOf } from "./pointers.js";
import { taskLink } from "./taskrow.js";
import { lines } from "./written.js";

const WAITS = { "respond-async": "answer at once", "wait=5": "wait 5 s for the answer", "wait=30": "wait 30 s" };
const FORMS = "multipart/form-data";

/** Show it. `like` are the arguments to begin with; null for an example. */
export function showSubmission(section, operation, like) {
  const outcome = element("div.outcome", { "aria-live": "polite" });
  const fields = operation.parameters.map((parameter) => parameterField(parameter, like));
  const body = bodyField(operation, like);
  const wait = element(
    "select",
    { id: "wait", name: "wait" },
    Object.entries(WAITS).map(([value, text]) => element("option", { value }, text)),
  );
  const submit = element("button.primary", { type: "submit" }, "Submit");
  const form = element(
    "form.submit",
    fields,
    body,
    element("div.field", element("label", { for: "wait" }, "The proxy shall"), wait),
    element("div.buttons", submit),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    replace(outcome, element("p.empty", "Waiting for the answer …"));
    try {
      const call = callOf(form, operation);
      const answer = await sendAny(call.method, call.path, call);
      replace(outcome, ...(await shownAnswer(answer, form)));
    } catch (error) {
      replace(outcome, element("p.fault", error.message));
    }
    submit.disabled = false;
  });
  const line = () => {
    const { method, path, query, headers, body: sent } = callOf(form, operation);
    return curl(method, addressOf(path, query), { headers, body: sent instanceof File ? "…" : sent });
  };
  replace(section, element("h2", { id: "submit" }, "Submit"), form, outcome, curlDetails(line));
}

/** The call that the form stands for. */
function callOf(form, { method, path, parameters, schema }) {
  const given = parameters
    .map((parameter) => ({ ...parameter, value: form.elements[`argument-${parameter.name}`].value }))
    .filter(({ value }) => value !== "");
  const placed = (place) =>
    Object.fromEntries(given.filter((each) => each.in === place).map(({ name, value }) => [name, value]));
  const filled = Object.entries(placed("path")).reduce(
    (whole, [name, value]) => whole.replace(`{${name}}`, encodeURIComponent(value)),
    path,
  );
  const headers = { Prefer: form.elements.wait.value, ...placed("header") };
  const call = { method, path: filled, query: placed("query"), headers };
  if (schema !== null) {
    headers["Content-Type"] = "application/json";
    call.body = form.elements.body.value;
  } else if (form.elements.file?.files.length > 0) {
    const [file] = form.elements.file.files;
    headers["Content-Type"] = file.type || form.elements.file.dataset.type;
    call.body = file;
  }
  return call;
}

function parameterField({ name, required, schema, in: place, description }, like) {
  const id = `argument-${name}`;
  const value = like === null ? exampleText(schema, required) : String(like[name] ?? "");
  const hint = [place, description].filter(Boolean).join(": ");
  return element(
    "div.field",
    element("label", { for: id }, name, element("small", ` ${hint}`)),
    element("input", { id, name: id, type: "text", autocomplete: "off", required, value }),
  );
}

function exampleText(schema, required) {
  if (!required) return "";
  const value = exampleOf(schema);
  return typeof value === "object" ? "" : String(value);
}

function bodyField({ schema, contentTypes, parameters }, like) {
  if (schema !== null) {
    const elsewhere = new Set(parameters.map(({ name }) => name));
    const ofBody = like && Object.fromEntries(Object.entries(like).filter(([name]) => !elsewhere.has(name)));
    const text = lines(ofBody ?? exampleOf(schema));
    const rows = Math.min(24, Math.max(5, text.split("\n").length + 1));
    const area = element("textarea", { id: "body", name: "body", rows, spellcheck: "false" }, text);
    return element("div.field", element("label", { for: "body" }, "Body, as JSON"), area);
  }
  const types = contentTypes.filter((each) => each !== FORMS);
  if (types.length === 0) return null;
  const file = element("input", { id: "file", name: "file", type: "file", accept: types.join(","), "data-type": types[0] });
  return element("div.field", element("label", { for: "file" }, `Body, a file (${types.join(", ")})`), file);
}

async function shownAnswer(answer, form) {
  const id = answer.headers.get("Task-Id");
  const link = id && element("p", "Task ", taskLink(id));
  if (answer.status === 202) {
    announce("Accepted.");
    return [element("p", "Accepted: the work goes on."), link];
  }
  if (answer.headers.get("Content-Type")?.startsWith("application/problem+json")) {
    const { status, message, problem } = await problemOf(answer);
    const title = element("p.fault", `${status}: ${problem.title ?? message}`);
    const faults = problem.errors ?? [];
    if (faults.length === 0) return [title, element("p", message), link];
    return [title, element("ul.faults", faults.map((fault) => faultLine(fault, form))), link];
  }
  const text = await answer.text();
  return [element("p", `Answered ${answer.status}.`), link, text !== "" && bodyText(text)];
}

/** A fault, and the way to the value that it is about. */
function faultLine({ pointer, parameter, detail }, form) {
  const field = form.elements[parameter === undefined ? "body" : `argument-${parameter}`];
  const where = parameter ?? (pointer || "the whole");
  if (field === undefined) return element("li", `${where}: ${detail}`);
  const place = parameter === undefined ? placeOf(field.value, pointer) : [0, field.value.length];
  const line = parameter === undefined && `, line ${lineOf(field.value, place[0])}`;
  const go = element("button.quiet", { type: "button" }, where, line);
  go.addEventListener("click", () => {
    field.focus();
    field.setSelectionRange(...place);
  });
  return element("li", go, ` ${detail}`);
}
