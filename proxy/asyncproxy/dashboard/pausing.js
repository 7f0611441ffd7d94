/* Pauses and resumes what all tasks share: queues, operations and limits. */

import { tell } from "./api.js";
import { button, element } from "./elements.js";
import { notify } from "./notices.js";
import { status } from "./status.js";
import { age } from "./written.js";

/** The button for it; `kind` is as in the address of the API, `after` is called once it is done. */
export function pauseButton({ kind, name, paused }, after) {
  const [word, action] = paused ? ["Resume", "resume"] : ["Pause", "pause"];
  const press = async () => {
    try {
      await tell("POST", `/${kind}/${encodeURIComponent(name)}/${action}`);
      notify(`${name} is ${action}d.`);
    } catch (error) {
      notify(error.message, { isBad: true });
    }
    after();
  };
  const label = `${word} ${kind.slice(0, -1)} ${name}`;
  return button(word, press, { id: `pause-${kind}-${name}`, "aria-label": label });
}

/** Since when and by whom it is paused, or that it is not. */
export function pauseState(paused) {
  if (!paused) return element("small", "not paused");
  return [status("paused"), element("small", " ", age(paused.since), paused.by && ` by ${paused.by}`)];
}
