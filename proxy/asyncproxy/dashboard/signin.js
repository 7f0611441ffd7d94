/* Asks for an API key or a token, where the proxy has to know who looks. */

import { problemOf, sendAny } from "./api.js";
import { element, replace } from "./elements.js";
import { stopAll } from "./polling.js";
import { session } from "./session.js";

const PROOF = /^[!-~]+$/;
const NOT_TAKEN = "This key or token is not taken: it is unknown here, or its time is over.";

/** Show the form in place of all else, with a word of why. */
export function showSignIn(main, why) {
  stopAll();
  const told = element("p.fault", { id: "sign-in-fault", role: "alert" }, why);
  const field = element("input", {
    id: "proof",
    type: "password",
    autocomplete: "off",
    required: true,
    spellcheck: "false",
    "aria-describedby": "sign-in-fault sign-in-hint",
  });
  const form = element(
    "form.sign-in",
    element("h1", "Sign in"),
    element("label", { for: "proof" }, "API key or token"),
    field,
    element("p.hint", { id: "sign-in-hint" }, "It is kept in this tab and forgotten with it."),
    told,
    element("button.primary", { type: "submit" }, "Sign in"),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    told.textContent = await faultOf(field.value.trim());
    if (told.textContent !== "") field.focus();
  });
  replace(main, form);
  field.focus();
}

/** What is wrong with it; nothing where it is taken, and the page begins anew. */
async function faultOf(proof) {
  if (!PROOF.test(proof)) return "A key or token has no spaces and only plain letters.";
  let answer;
  try {
    answer = await sendAny("GET", "/whoami", { key: proof });
  } catch (error) {
    return `${error.message} Try again in a moment.`;
  }
  if (answer.status === 401) return NOT_TAKEN;
  if (!answer.ok) return (await problemOf(answer)).message;
  session.keep(proof);
  location.reload();
  return "";
}
