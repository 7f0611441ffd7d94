/* Where in a JSON text the value stands that a JSON Pointer (RFC 6901) names. */

/** Its first and its last character, `[from, to]`; of what is not there, of what should hold it. */
export function placeOf(text, pointer) {
  const keys = pointer.split("/").slice(1).map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
  const reader = new Reader(text);
  try {
    return reader.find(keys);
  } catch {
    return [0, text.length];
  }
}

/** The line of a character, from 1. */
export function lineOf(text, place) {
  return text.slice(0, place).split("\n").length;
}

class Reader {
  #text;
  #at = 0;

  constructor(text) {
    this.#text = text;
  }

  find(keys) {
    this.#blanks();
    const from = this.#at;
    const [key, ...deeper] = keys;
    if (key !== undefined && "{[".includes(this.#text[from])) {
      const found = this.#member(key, deeper);
      if (found !== null) return found;
    }
    this.#at = from;
    this.#value();
    return [from, this.#at];
  }

  /** The place below this key; null where there is none. */
  #member(key, deeper) {
    let found = null;
    this.#parts((name) => {
      if (name !== key || found !== null) return false;
      found = this.find(deeper);
      return true;
    });
    return found;
  }

  /** Read an object or an array; `take(name)` may read the value itself, and says whether it has. */
  #parts(take) {
    const isObject = this.#text[this.#at] === "{";
    const end = isObject ? "}" : "]";
    let number = 0;
    this.#at += 1;
    this.#blanks();
    while (this.#text[this.#at] !== end) {
      const name = isObject ? this.#name() : String(number++);
      this.#blanks();
      if (!take(name)) this.#value();
      this.#blanks();
      if (this.#text[this.#at] === ",") this.#at += 1;
      else if (this.#text[this.#at] !== end) throw new SyntaxError("no JSON");
      this.#blanks();
    }
    this.#at += 1;
  }

  #name() {
    const name = JSON.parse(this.#match(/"(?:[^"\\]|\\.)*"/y));
    this.#blanks();
    this.#match(/:/y);
    return name;
  }

  #value() {
    this.#blanks();
    if ("{[".includes(this.#text[this.#at])) this.#parts(() => false);
    else this.#match(/"(?:[^"\\]|\\.)*"|[^\s,\]}]+/y);
  }

  #blanks() {
    this.#match(/\s*/y);
  }

  #match(pattern) {
    pattern.lastIndex = this.#at;
    const [found] = pattern.exec(this.#text) ?? [];
    if (found === undefined) throw new SyntaxError("no JSON");
    this.#at += found.length;
    return found;
  }
}
