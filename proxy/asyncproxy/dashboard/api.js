/* Asks the proxy, by its public API and with the rights of whoever looks. */

import { session } from "./session.js";

/** Where the API is: above this page, under whatever path we are served. */
export const ROOT = new URL("../", document.baseURI);

/** What the proxy answers where it does not do what it is asked for (RFC 9457). */
export class ProblemError extends Error {
  constructor(status, problem, retryAfterSeconds) {
    super(problem.detail || problem.title || `The proxy answered ${status}.`);
    this.status = status;
    this.problem = problem;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** Nothing was answered at all. */
export class AwayError extends Error {
  constructor(cause) {
    super("The proxy does not answer.", { cause });
  }
}

/** The JSON at an address; raises ProblemError, AwayError. */
export async function ask(path, { query = {}, signal } = {}) {
  const answer = await send("GET", path, { query, signal });
  return answer.json();
}

/**
 * What POST, DELETE and their like are answered: JSON, or null; raises ProblemError, AwayError.
 *
 * `content` goes with it as JSON, if there is any.
 */
export async function tell(method, path, content) {
  const sent =
    content === undefined
      ? {}
      : { headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) };
  const answer = await send(method, path, sent);
  return answer.status === 204 ? null : answer.json();
}

/** The whole answer, a good one; raises ProblemError, AwayError. */
export async function send(method, path, options = {}) {
  const answer = await sendAny(method, path, options);
  if (answer.ok) return answer;
  throw await problemOf(answer);
}

/** The whole answer, whatever it is; raises AwayError. */
export async function sendAny(method, path, { query = {}, headers = {}, body, signal, key } = {}) {
  const proof = key ?? session.key;
  try {
    return await fetch(addressOf(path, query), {
      method,
      body,
      signal,
      cache: "no-store",
      headers: { ...(proof === null ? {} : { Authorization: `Bearer ${proof}` }), ...headers },
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new AwayError(error);
  }
}

/** The address of something of the API. */
export function addressOf(path, query = {}) {
  // Without the dot the browser takes what stands before a colon for a scheme.
  const address = new URL(`./${path.replace(/^\//, "")}`, ROOT);
  for (const [name, value] of searchOf(query)) address.searchParams.append(name, value);
  return address;
}

/** A query as an address has it; of a list each value is given by itself. */
export function searchOf(query) {
  const pairs = Object.entries(query).flatMap(([name, given]) => [given].flat().map((value) => [name, value]));
  return new URLSearchParams(pairs);
}

/** The error that an answer tells of. */
export async function problemOf(answer) {
  const text = await answer.text();
  const retryAfter = Number(answer.headers.get("Retry-After"));
  return new ProblemError(answer.status, parsed(text), Number.isFinite(retryAfter) ? retryAfter : 0);
}

function parsed(text) {
  try {
    const problem = JSON.parse(text);
    return problem?.constructor === Object ? problem : {};
  } catch {
    return {};
  }
}
