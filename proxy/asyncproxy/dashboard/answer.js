/* What the upstream answered, or why there is no answer: shown as text, and never run. */

import { send } from "./api.js";
import { button, element, facts } from "./elements.js";
import { notify } from "./notices.js";
import { lines } from "./written.js";

const MOST_CHARACTERS = 200_000;

export function answerOf(task, path) {
  const heading = element("h2", { id: "answer" }, "Answer");
  if (task.response !== null) return [heading, ...responseOf(task.response, path)];
  if (task.error !== null) return [heading, problemFacts(task.error)];
  return [heading, element("p.empty", task.done ? "It has none." : "It is not there yet.")];
}

function problemFacts({ type, title, status, detail }) {
  return facts({ Problem: title, Status: status && String(status), Detail: detail, Type: type });
}

function responseOf({ status, contentType, headers, body }, path) {
  const named = Object.entries(headers).map(([name, values]) => `${name}: ${values.join(", ")}`);
  const about = facts({
    Status: String(status),
    Type: contentType,
    Headers: named.length > 0 ? named.map((each) => element("code", each)) : null,
  });
  return [about, body === null ? wholeBody(path) : bodyText(lines(body))];
}

/** What is large, or neither JSON nor text, is fetched when somebody wants it. */
function wholeBody(path) {
  const place = element("div");
  const load = button("Show its body as text", async () => {
    try {
      const answer = await send("GET", `${path}/response`);
      const text = await answer.text();
      const shown = text.slice(0, MOST_CHARACTERS);
      const more = text.length > shown.length && element("p.empty", "The rest is not shown.");
      place.replaceChildren(...[text === "" ? element("p.empty", "It is empty.") : bodyText(shown), more].filter(Boolean));
    } catch (error) {
      notify(error.message, { isBad: true });
    }
  });
  place.append(load);
  return place;
}

/** A body as it is, in a box of its own. */
export function bodyText(text) {
  return element("pre", { tabindex: "0", "aria-label": "Body of the answer" }, text);
}
