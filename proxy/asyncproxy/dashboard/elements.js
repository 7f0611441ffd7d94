/*
 * Builds what is seen. Text goes in as text: nothing that a caller has written is ever read as HTML,
 * and the page's policy has the browser refuse what would.
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element by `name.class.class`, with attributes if the second argument is a plain object.
 *
 * Functions listen to the event that they are named after (`onclick`), true stands for an attribute
 * without a value, and what is null, undefined or false is left out.
 */
export function element(what, ...parts) {
  const [name, ...classes] = what.split(".");
  const made = document.createElement(name);
  if (classes.length > 0) made.className = classes.join(" ");
  if (parts[0]?.constructor === Object) setAttributes(made, parts.shift());
  made.append(...shown(parts));
  return made;
}

/** Put these in place of what is there. Who is in it by keyboard stays where it was. */
export function replace(container, ...parts) {
  const within = container.contains(document.activeElement);
  const focused = within ? document.activeElement.id : "";
  container.replaceChildren(...shown(parts));
  if (focused !== "") document.getElementById(focused)?.focus({ preventScroll: true });
}

/** A drawing of 12 by 12, which is said in words beside it. */
export function drawing(...paths) {
  const drawn = document.createElementNS(SVG, "svg");
  const attributes = { viewBox: "0 0 12 12", width: 12, height: 12, "aria-hidden": "true" };
  for (const [name, value] of Object.entries(attributes)) drawn.setAttribute(name, value);
  for (const path of paths) {
    const line = document.createElementNS(SVG, "path");
    line.setAttribute("d", path);
    drawn.append(line);
  }
  return drawn;
}

/** A table; `heads` are texts or elements, `numbers` those above columns of numbers. */
export function table({ label, heads, numbers = [], rows }) {
  const cells = heads.map((head) => {
    // Above buttons nothing stands.
    if (head === "") return element("td");
    const isNumber = numbers.includes(head);
    return element("th", { scope: "col", class: isNumber && "number" }, head);
  });
  const head = element("thead", element("tr", cells));
  return element("table", { "aria-label": label }, head, element("tbody", rows));
}

/** A row of a table that a narrow window shows as a card, each cell with what it is called there. */
export function row(cells, attributes = {}) {
  const made = Object.entries(cells).map(([name, content]) =>
    content instanceof HTMLTableCellElement
      ? labelled(content, name)
      : element("td", { "data-label": name }, content),
  );
  return element("tr", attributes, made);
}

/** Facts as pairs of a name and what it is; those that are null are left out. */
export function facts(pairs) {
  const there = Object.entries(pairs).filter(([, value]) => value !== null && value !== undefined);
  return element(
    "dl",
    there.map(([name, value]) => element("div", element("dt", name), element("dd", value))),
  );
}

/** A button; what it does may take a while, in which it does nothing more, and keeps the focus. */
export function button(text, onPress, attributes = {}) {
  const made = element("button", { type: "button", ...attributes }, text);
  made.addEventListener("click", async () => {
    if (made.ariaBusy === "true") return;
    made.ariaBusy = "true";
    try {
      await onPress();
    } finally {
      made.ariaBusy = "false";
    }
  });
  return made;
}

function labelled(cell, name) {
  cell.dataset.label = name;
  return cell;
}

function setAttributes(made, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) {
      if (name.startsWith("on") || name === "style") throw new TypeError(`${name} of a text`);
      made.setAttribute(name, value);
    }
  }
}

function shown(parts) {
  return parts.flat(Infinity).filter((part) => part !== null && part !== undefined && part !== false);
}
