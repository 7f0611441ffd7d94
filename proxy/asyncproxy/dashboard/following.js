/* Follows one task by server-sent events, which come by fetch: an EventSource sends no key. */

import { send } from "./api.js";

/* The proxy says every 15 s that it is still there. */
const SILENT_SECONDS = 40;

/**
 * Call `onTask` with the task as it stands and at each change. Resolves with whether it has finished:
 * if not, the stream has ended before, and is to be asked for anew. Raises what `send` raises.
 */
export async function follow(id, { onTask, signal }) {
  const ending = new AbortController();
  const end = () => ending.abort();
  const hide = () => document.hidden && end();
  signal.addEventListener("abort", end);
  document.addEventListener("visibilitychange", hide);
  try {
    const path = `/tasks/${encodeURIComponent(id)}/events`;
    const { body } = await send("GET", path, { signal: ending.signal });
    return await lastOf(body, onTask, end);
  } catch (error) {
    // Nobody sees the page, or nothing came for too long.
    if (ending.signal.aborted && !signal.aborted) return false;
    throw error;
  } finally {
    signal.removeEventListener("abort", end);
    document.removeEventListener("visibilitychange", hide);
    end();
  }
}

/** Whether the stream went on to the task's end. One that breaks off has just ended. */
async function lastOf(body, onTask, end) {
  let silence = setTimeout(end, SILENT_SECONDS * 1000);
  try {
    for await (const text of eventsOf(body)) {
      clearTimeout(silence);
      silence = setTimeout(end, SILENT_SECONDS * 1000);
      const data = dataOf(text);
      if (data === null) continue;
      const task = JSON.parse(data);
      onTask(task);
      if (task.done) return true;
    }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  } finally {
    clearTimeout(silence);
  }
  return false;
}

/** Each event's text, without the empty line at its end. */
async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const events = text.split("\n\n");
    text = events.pop();
    yield* events;
  }
}

function dataOf(text) {
  const line = text.split("\n").find((each) => each.startsWith("data: "));
  return line === undefined ? null : line.slice("data: ".length);
}
