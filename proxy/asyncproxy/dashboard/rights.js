/* What the caller may do, so that no button is there that would be refused. */

export class Rights {
  #rules;

  /** By the rules that `GET /whoami` tells. */
  constructor(rules) {
    this.#rules = rules;
  }

  /** Whether the caller may do this with the operation, or with its tasks that it sees. */
  may(action, operation) {
    const rule = this.#first(operation);
    return rule !== undefined && rule.may.includes(action);
  }

  /** Whether there are tasks with which the caller may do this, of one operation or of any. */
  mayWithSome(action, operation) {
    if (operation !== undefined) return this.may(action, operation);
    const last = this.#rules.findIndex((rule) => rule.operations.includes("*"));
    const counting = last < 0 ? this.#rules : this.#rules.slice(0, last + 1);
    return counting.some((rule) => rule.may.includes(action));
  }

  /** Whether it may pause what all tasks of these operations share. */
  mayOperate(operations) {
    const rules = operations.map((operation) => this.#first(operation));
    const isAllowed = (rule) => rule?.tasks === "all" && rule.may.includes("operate");
    return rules.length > 0 && rules.every(isAllowed);
  }

  #first(operation) {
    return this.#rules.find((rule) => rule.operations.some((each) => fits(operation, each)));
  }
}

/** In a pattern `*` stands for any characters, and nothing else is special. */
function fits(name, pattern) {
  const parts = pattern.split("*").map((part) => part.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, "s").test(name);
}
