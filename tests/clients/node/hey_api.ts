// Calls a proxy by the client that hey-api has made of its document, and prints what it got.
import { createClient, getTask, listTasks } from "./hey_api/sdk.gen.js";
import { client } from "./hey_api/client.gen.js";
import type { CreateClientAnswer, Problem, Task } from "./hey_api/types.gen.js";

const [url, email] = process.argv.slice(2) as [string, string];
client.setConfig({ baseUrl: url });
const create = (address: string, Prefer = "wait=20") =>
  createClient({ headers: { Prefer }, body: { email: address, name: "Ann" } });

const fast = await create(`fast.${email}`);
const slow = await create(`slow+2.${email}`, "respond-async");
const refused = await create(`fail+404.${email}`);
const invalid = await create("nobody");
const created = fast.data as CreateClientAnswer;
const accepted = slow.data as Task;
let task = accepted;
while (!task.done) {
  const read = await getTask({ path: { task_id: task.id }, headers: { Prefer: "wait=20" } });
  task = read.data as Task;
}
const problem = invalid.error as Problem;
const page = await listTasks();
console.log(
  JSON.stringify({
    fast: created.email,
    slow: accepted.id,
    refused: refused.response?.status,
    invalid: problem.errors?.[0]?.pointer,
    task: task.id,
    ended: task.status,
    listed: page.data?.tasks[0]?.operation,
  }),
);
