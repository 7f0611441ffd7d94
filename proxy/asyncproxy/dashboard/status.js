/* Where something stands, by a word and a shape, and by a colour for those who see it. */

import { drawing, element } from "./elements.js";

const SHAPES = {
  queued: ["M6 2a4 4 0 1 0 .01 0z"],
  running: ["M4 2.5 9.5 6 4 9.5z"],
  succeeded: ["M2 6.5 5 9.5 10 3"],
  failed: ["M3 3 9 9", "M9 3 3 9"],
  cancelled: ["M6 2a4 4 0 1 0 .01 0z", "M3.2 3.2 8.8 8.8"],
  expired: ["M3 2h6L3 10h6z"],
  paused: ["M4 2.5v7", "M8 2.5v7"],
  down: ["M6 1.5 11 10.5H1z", "M6 5v2.5"],
};

/** `word` says more than the kind does, such as `paused since …`. */
export function status(kind, word = kind) {
  return element(`span.status.${kind}`, drawing(...(SHAPES[kind] ?? SHAPES.queued)), word);
}
