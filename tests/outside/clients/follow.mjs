// POSTs the second argument to the first by fetch, gives up after the third (milliseconds), asks
// again with the same key, and follows the task by its events.
const [url, body, milliseconds] = process.argv.slice(2);
const headers = { "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID() };
const post = (more) => fetch(url, { method: "POST", body, ...more });

try {
  await post({ headers, signal: AbortSignal.timeout(Number(milliseconds)) });
} catch (error) {
  console.log(error.name);
}
const accepted = await post({ headers: { ...headers, Prefer: "respond-async" } });
console.log(accepted.status, accepted.headers.get("idempotency-joined"));

const events = await fetch(new URL(`${accepted.headers.get("location")}/events`, url));
const text = await events.text();
console.log(text.match(/^event: .*$/gm).join(", "));
