/* Who was told of a task's end, and telling them once more. */

import { ask, tell } from "./api.js";
import { confirmed } from "./confirmation.js";
import { button, element, replace, row, table } from "./elements.js";
import { notify } from "./notices.js";
import { poll } from "./polling.js";
import { status } from "./status.js";
import { age, andNext } from "./written.js";

const SECONDS = 8;
const HEADS = ["Status", "Receiver", "Told of", "Attempts", "Last answer", "Created", ""];

/** Show them, as long as one of them can still change. */
export function showDeliveries(section, task, rights) {
  const path = `/tasks/${task.id}/deliveries`;
  const loop = poll(look, { seconds: SECONDS });
  return loop;

  async function look(signal) {
    const { deliveries } = await ask(path, { signal });
    if (deliveries.length > 0) {
      const rows = deliveries.map(deliveryRow);
      const heading = element("h2", { id: "deliveries" }, "Deliveries");
      replace(section, heading, table({ label: "Deliveries", heads: HEADS, rows }));
    }
    return deliveries.every((each) => !["queued", "running"].includes(each.status));
  }

  function deliveryRow(delivery) {
    return row({
      Status: element("td", status(delivery.status)),
      Receiver: element("td.why", delivery.url),
      "Told of": delivery.event,
      Attempts: element("td.number", String(delivery.attempts.length)),
      "Last answer": element("td.why", lastAnswer(delivery)),
      Created: element("td.when", age(delivery.createdAt)),
      "": element("td.actions", rights.may("retry", task.operation) && again(delivery)),
    });
  }

  function again(delivery) {
    const press = async () => {
      const question = `Tell ${delivery.url} once more?`;
      if (!(await confirmed({ question, answer: "Tell it" }))) return;
      try {
        await tell("POST", `${path}/${delivery.number}/redeliver`);
        notify("It is told once more.");
        loop.stop();
        showDeliveries(section, task, rights);
      } catch (error) {
        notify(error.message, { isBad: true });
      }
    };
    return button("Redeliver", press, { "aria-label": `Redeliver to ${delivery.url}` });
  }
}

/** What the receiver said the last time it was told, and when it is told again. */
export function lastAnswer({ attempts, nextAttemptAt }) {
  const last = attempts.at(-1);
  const said = last && (last.detail ?? (last.responseStatus ? String(last.responseStatus) : last.outcome));
  return nextAttemptAt ? andNext(said, nextAttemptAt) : (said ?? "–");
}
