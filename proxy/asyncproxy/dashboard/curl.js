/* A call as a line of a shell, for whom wants to repeat it elsewhere. */

import { button, element } from "./elements.js";
import { announce } from "./notices.js";
import { session } from "./session.js";

/** The line. The key is a variable of the shell: what is copied is pasted where others read it. */
export function curl(method, address, { headers = {}, body } = {}) {
  const words = ["curl", "-i"];
  if (method !== "GET") words.push("-X", method);
  if (session.key !== null) words.push("-H", '"Authorization: Bearer $ASYNCAPIPROXY_TOKEN"');
  for (const [name, value] of Object.entries(headers)) words.push("-H", quoted(`${name}: ${value}`));
  if (body !== undefined) words.push("--data-raw", quoted(body));
  return [...words, quoted(String(address))].join(" ");
}

/** It, to be seen and copied; `line` is asked when it is needed. */
export function curlDetails(line) {
  const text = element("pre", { tabindex: "0", "aria-label": "The call as curl" });
  const copy = button("Copy", async () => {
    await copied(text);
    announce("Copied.");
  });
  const made = element("details.curl", element("summary", "As curl"), text, copy);
  made.addEventListener("toggle", () => (text.textContent = line()));
  return made;
}

/** Browsers have a clipboard for pages only by HTTPS and on this machine. */
async function copied(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text.textContent);
    return;
  }
  getSelection().selectAllChildren(text);
  document.execCommand("copy");
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
