/*
 * Looks again and again, politely: only while the page is seen, not at the same moment as others,
 * later where the proxy is busy or away, and not at all once it does not know who asks.
 */

import { AwayError, ProblemError } from "./api.js";
import { showAway, showThere } from "./notices.js";

const MOST_SECONDS = 60;
const FIRST_PAUSE_SECONDS = 5;
const SPREAD = 0.2;
const running = new Set();
let onUnknown = () => {};

/** Have this called, once, where the proxy no longer knows who asks. */
export function whenUnknown(callback) {
  onUnknown = callback;
}

/** End all that looks. */
export function stopAll() {
  for (const loop of running) loop.stop();
}

/**
 * Call `look(signal)` every so many seconds, from now on, until it returns true or is stopped.
 *
 * `onProblem` is called where the proxy refuses it for good, such as what is not there; then it ends.
 */
export function poll(look, { seconds, onProblem = () => {} }) {
  const loop = new Loop(look, seconds, onProblem);
  running.add(loop);
  loop.run().finally(() => running.delete(loop));
  return loop;
}

class Loop {
  #look;
  #seconds;
  #onProblem;
  #failures = 0;
  #stopping = new AbortController();
  #wake = () => {};
  #isHurried = false;

  constructor(look, seconds, onProblem) {
    this.#look = look;
    this.#seconds = seconds;
    this.#onProblem = onProblem;
  }

  stop() {
    this.#stopping.abort();
    this.#wake();
  }

  /** Look at once, as after something was done. */
  now() {
    this.#isHurried = true;
    this.#wake();
  }

  async run() {
    while (!this.#stopping.signal.aborted) {
      await seen();
      const pause = await this.#once();
      if (pause === null || this.#stopping.signal.aborted) return;
      await this.#rest(pause * (1 - SPREAD / 2 + SPREAD * Math.random()));
    }
  }

  /** How many seconds to wait for the next time; null where there is none. */
  async #once() {
    try {
      const isOver = await this.#look(this.#stopping.signal);
      this.#failures = 0;
      showThere();
      return isOver === true ? null : this.#seconds;
    } catch (error) {
      if (error.name === "AbortError") return null;
      return this.#afterFault(error);
    }
  }

  #afterFault(error) {
    const isLater = error instanceof ProblemError && (error.status === 429 || error.status >= 500);
    if (error instanceof TypeError || error instanceof ReferenceError) reportError(error); // ours
    if (!(error instanceof AwayError) && !isLater) {
      if (error.status === 401) onUnknown();
      else this.#onProblem(error);
      return null;
    }
    const pause = FIRST_PAUSE_SECONDS * 2 ** this.#failures++;
    const seconds = Math.min(MOST_SECONDS, Math.max(pause, error.retryAfterSeconds ?? 0));
    showAway(error);
    return seconds;
  }

  async #rest(seconds) {
    // Asked for while it looked: what it has seen may be older.
    if (!this.#isHurried) {
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, seconds * 1000);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = () => {};
    }
    this.#isHurried = false;
  }
}

/** Resolves as soon as somebody can see the page. */
function seen() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    document.addEventListener("visibilitychange", resolve, { once: true });
  }).then(seen);
}
