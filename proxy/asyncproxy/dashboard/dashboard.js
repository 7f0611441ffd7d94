/* Begins: who looks, and at which page. */

import { ask, ProblemError } from "./api.js";
import { button, element, replace } from "./elements.js";
import { poll, stopAll, whenUnknown } from "./polling.js";
import { Rights } from "./rights.js";
import { session } from "./session.js";
import { showSignIn } from "./signin.js";

const PAGES = {
  "": ["Overview", () => import("./overview.js")],
  tasks: ["Tasks", () => import("./tasks.js")],
  task: ["Task", () => import("./task.js")],
  batches: ["Batches", () => import("./batches.js")],
  batch: ["Batch", () => import("./batch.js")],
  operations: ["Operations", () => import("./operations.js")],
  callbacks: ["Callbacks", () => import("./callbacks.js")],
};
const BELOW_TASKS = ["task", "batches", "batch"];
const WHOAMI_SECONDS = 5;
const main = document.getElementById("main");
const name = location.pathname.split("/").at(-1);
const [title, load] = PAGES[name];

document.title = `${title} · AsyncApiProxy`;
for (const link of document.querySelectorAll("nav a")) {
  const leadsTo = link.getAttribute("href").replace("./", "");
  if (leadsTo === name || (leadsTo === "tasks" && BELOW_TASKS.includes(name))) {
    link.setAttribute("aria-current", leadsTo === name ? "page" : "true");
  }
}
whenUnknown(() => {
  stopAll();
  showSignIn(main, session.key === null ? "" : "Your key or token is not taken any more.");
});
// Not once, but until the proxy answers: it may be away as the page is opened.
poll(begin, { seconds: WHOAMI_SECONDS, onProblem: refused });

async function begin(signal) {
  let caller;
  try {
    caller = await ask("/whoami", { signal });
  } catch (error) {
    if (!(error instanceof ProblemError) || error.status !== 401) throw error;
    showSignIn(main, session.key === null ? "" : "Your key or token is not taken any more.");
    return true;
  }
  const isRestricted = caller.principal === null && (await isAskingWho(signal));
  showCaller(caller, isRestricted);
  const page = await load();
  main.replaceChildren();
  page.show(main, new Rights(caller.rules));
  return true;
}

async function isAskingWho(signal) {
  const { access } = await ask("/ping", { signal });
  return access === "restricted";
}

function showCaller({ principal, tenant }, isRestricted) {
  const place = document.getElementById("caller");
  const known = principal && element("span", principal, tenant && element("small", ` of ${tenant}`));
  const leave = button("Sign out", signOut, { class: "quiet" });
  const enter = button("Sign in", () => showSignIn(main, ""), { class: "quiet" });
  const anonymous = isRestricted ? "anonymous" : "open to everyone";
  replace(
    place,
    known ?? element("small", anonymous),
    session.key !== null && leave,
    isRestricted && session.key === null && enter,
  );
}

function signOut() {
  session.forget();
  location.reload();
}

function refused(error) {
  replace(main, element("h1", title), element("p.empty", error.message));
}
