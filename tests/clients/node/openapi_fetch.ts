// Calls a proxy by openapi-fetch and the types that openapi-typescript has made of its document.
import createClient from "openapi-fetch";
import type { components, paths } from "./openapi_typescript/schema.js";

const [url, email] = process.argv.slice(2) as [string, string];
const proxy = createClient<paths>({ baseUrl: url });
const create = (address: string, Prefer = "wait=20") =>
  proxy.POST("/clients", { params: { header: { Prefer } }, body: { email: address, name: "Ann" } });

const fast = await create(`fast.${email}`);
const slow = await create(`slow+2.${email}`, "respond-async");
const refused = await create(`fail+404.${email}`);
const invalid = await create("nobody");
const created = fast.data as components["schemas"]["CreateClientAnswer"];
const accepted = slow.data as components["schemas"]["Task"];
let task = accepted;
while (!task.done) {
  const read = await proxy.GET("/tasks/{task_id}", {
    params: { path: { task_id: task.id }, header: { Prefer: "wait=20" } },
  });
  task = read.data as components["schemas"]["Task"];
}
const problem = invalid.error as components["schemas"]["Problem"];
const page = await proxy.GET("/tasks");
console.log(
  JSON.stringify({
    fast: created.email,
    slow: accepted.id,
    refused: refused.response.status,
    invalid: problem.errors?.[0]?.pointer,
    task: task.id,
    ended: task.status,
    listed: page.data?.tasks[0]?.operation,
  }),
);
