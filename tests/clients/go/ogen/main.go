// Calls a proxy by the client that ogen has made of its document, and prints what it got.
package main

import (
	"context"
	"encoding/json"
	"os"

	"example.com/clients/ogen/client"
)

func main() {
	ctx := context.Background()
	proxy := must(client.NewClient(os.Args[1]))
	create := func(email string, params client.CreateClientParams) client.CreateClientRes {
		return must(proxy.CreateClient(ctx, &client.CreateClientArguments{Email: email, Name: "Ann"}, params))
	}
	waiting := client.CreateClientParams{Prefer: client.NewOptString("wait=20")}
	fast := create("fast."+os.Args[2], waiting).(*client.CreateClientAnswerHeaders)
	slow := create("slow+2."+os.Args[2], client.CreateClientParams{Prefer: client.NewOptString("respond-async")}).(*client.TaskHeaders)
	refused := create("fail+404."+os.Args[2], waiting).(*client.ProblemStatusCode)
	// What the schema forbids it does not send, so the fault is one that only we see: a key used twice.
	keyed := client.CreateClientParams{IdempotencyKey: client.NewOptString(os.Args[2]), Prefer: client.NewOptString("wait=20")}
	create("first."+os.Args[2], keyed)
	invalid := create("second."+os.Args[2], keyed).(*client.CreateClientApplicationProblemJSONUnprocessableEntity)
	task := slow.Response
	for !task.Done {
		params := client.GetTaskParams{TaskID: task.ID, Prefer: client.NewOptString("wait=20")}
		task = must(proxy.GetTask(ctx, params)).(*client.GetTaskOKHeaders).Response
	}
	page := must(proxy.ListTasks(ctx, client.ListTasksParams{})).(*client.TaskPageHeaders)
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"fast":    fast.Response.Email,
		"slow":    slow.Response.ID,
		"refused": refused.StatusCode,
		"invalid": invalid.Response.Title,
		"task":    task.ID,
		"ended":   task.Status,
		"listed":  page.Response.Tasks[0].Operation,
	})
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
