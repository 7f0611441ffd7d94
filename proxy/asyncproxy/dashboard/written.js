/* How instants, spans of time, numbers and JSON are written for people. */

import { element } from "./elements.js";

const UNITS = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
];

/** An instant as its distance from now, which goes on; the whole of it is its title. */
export function age(instant) {
  if (!instant) return "–";
  const shown = element("time.age", { datetime: instant, title: moment(instant) });
  shown.textContent = distance(instant);
  return shown;
}

/** An instant as a date and a time here. */
export function moment(instant) {
  const date = new Date(instant);
  const two = (number) => String(number).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** What came of the last attempt, if there was one, and when the next is due. */
export function andNext(said, instant) {
  return [said && `${said.replace(/\.$/, "")}; `, element("small", "next attempt ", age(instant))];
}

/** Which attempt it is, of how many; those that were given back count in no maximum. */
export function attemptOf({ attempt, countedAttempts, maxAttempts }) {
  const counted = `${countedAttempts} of ${maxAttempts}`;
  return countedAttempts === attempt ? counted : `${attempt}, ${counted} counted`;
}

/** How long something took, between two instants. */
export function took(from, to) {
  return span((new Date(to) - new Date(from)) / 1000);
}

/** So many seconds, by their two largest units. */
export function span(seconds) {
  if (seconds < 1) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  return seconds < 10 ? `${seconds.toFixed(1)} s` : whole(Math.round(seconds));
}

/** A number with its thousands apart. */
export function count(number) {
  return number.toLocaleString("en").replaceAll(",", "\u202f");
}

/** So many of something: `1 task`, `12 tasks`. */
export function many(number, name) {
  return `${count(number)} ${name}${number === 1 ? "" : "s"}`;
}

/** A JSON value as lines, a text as it is. */
export function lines(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

function whole(seconds) {
  for (const [size, name] of UNITS) {
    if (seconds >= size) {
      const [smaller, rest] = UNITS.find(([other]) => other < size) ?? [1, "s"];
      const more = Math.floor((seconds % size) / smaller);
      return `${Math.floor(seconds / size)} ${name}${more > 0 ? ` ${more} ${rest}` : ""}`;
    }
  }
  return `${seconds} s`;
}

function distance(instant) {
  const seconds = (Date.now() - new Date(instant)) / 1000;
  if (Math.abs(seconds) < 1) return "now";
  return seconds > 0 ? `${whole(Math.floor(seconds))} ago` : `in ${whole(Math.ceil(-seconds))}`;
}

setInterval(() => {
  if (document.hidden) return;
  for (const shown of document.querySelectorAll("time.age")) {
    const text = distance(shown.dateTime);
    if (shown.textContent !== text) shown.textContent = text;
  }
}, 1000);
