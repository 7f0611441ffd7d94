// Calls a proxy by the client that oapi-codegen has made of its document, and prints what it got.
package main

import (
	"context"
	"encoding/json"
	"os"

	"example.com/clients/oapi_codegen/client"
	"github.com/oapi-codegen/runtime/types"
)

func main() {
	ctx := context.Background()
	proxy := must(client.NewClientWithResponses(os.Args[1]))
	create := func(email, prefer string) *client.CreateClientResponse {
		params := &client.CreateClientParams{Prefer: &prefer}
		arguments := client.CreateClientArguments{Email: types.Email(email), Name: "Ann"}
		return must(proxy.CreateClientWithResponse(ctx, params, arguments))
	}
	fast := create("fast."+os.Args[2], "wait=20")
	slow := create("slow+2."+os.Args[2], "respond-async")
	refused := create("fail+404."+os.Args[2], "wait=20")
	// What the schema forbids it does not send: the fault is one that only we see, a key used twice.
	keyed := &client.CreateClientParams{IdempotencyKey: &os.Args[2]}
	must(proxy.CreateClientWithResponse(ctx, keyed, client.CreateClientArguments{Email: "a@example.com", Name: "Ann"}))
	invalid := must(proxy.CreateClientWithResponse(ctx, keyed, client.CreateClientArguments{Email: "b@example.com", Name: "Bo"}))
	wait := "wait=20"
	task := slow.JSON202
	for !task.Done {
		task = must(proxy.GetTaskWithResponse(ctx, task.Id, &client.GetTaskParams{Prefer: &wait})).JSON200
	}
	page := must(proxy.ListTasksWithResponse(ctx, &client.ListTasksParams{}))
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"fast":    fast.JSON201.Email,
		"slow":    slow.JSON202.Id,
		"refused": refused.StatusCode(),
		"invalid": invalid.ApplicationproblemJSON422.Title,
		"task":    task.Id,
		"ended":   task.Status,
		"listed":  page.JSON200.Tasks[0].Operation,
	})
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
