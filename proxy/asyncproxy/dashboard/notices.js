/* What the page says beside its content: that the proxy is away, and what became of an action. */

import { button, element, replace } from "./elements.js";

const banner = document.getElementById("banner");
const place = document.getElementById("notice");
const announcement = document.getElementById("announcement");

/** Say above all that the proxy does not answer as it should. */
export function showAway(error) {
  replace(banner, element("p", `${error.message} What is shown is older; this page asks again.`));
}

/** And no more, since it does. */
export function showThere() {
  if (banner.childElementCount > 0) announce("The proxy answers again.");
  banner.replaceChildren();
}

/** Show what became of an action until it is put away or another one is done. */
export function notify(text, { isBad = false, details = [] } = {}) {
  const away = button("Close", () => place.replaceChildren(), { class: "quiet" });
  const list = details.length > 0 && element("ul", details.map((detail) => element("li", detail)));
  const kind = isBad ? "div.notice.bad" : "div.notice";
  replace(place, element(kind, element("div", element("p", text), list), away));
}

/** Tell those who hear the page, and show nothing. */
export function announce(text) {
  announcement.textContent = text;
}
