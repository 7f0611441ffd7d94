/* Asks whether something is really meant, in a dialog. */

import { element } from "./elements.js";

/** Whether it is. `details` are lines that say what it is about. */
export function confirmed({ question, details = [], answer }) {
  return new Promise((resolve) => {
    const yes = element("button.primary", { value: "yes" }, answer);
    const no = element("button", { value: "no", autofocus: true }, "Leave it");
    const asked = element(
      "dialog",
      { "aria-labelledby": "question" },
      element(
        "form",
        { method: "dialog" },
        element("h2", { id: "question" }, question),
        details.length > 0 && element("ul", details.map((detail) => element("li", detail))),
        element("div.buttons", no, yes),
      ),
    );
    asked.addEventListener("close", () => {
      asked.remove();
      resolve(asked.returnValue === "yes");
    });
    document.body.append(asked);
    asked.showModal();
  });
}
