// Tries a simulator with Microsoft's client for Azure Compute.
package main

import (
	"context"
	"fmt"
	"os"

	"poolkeeper.dev/tests/clients/steps"
)

func main() {
	azure, err := connect()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	all, ctx := steps.Of("go-armcompute"), context.Background()
	uniform(ctx, all, azure)
	refusals(ctx, all, azure)
	if os.Getenv("FLEXIBLE") == "1" {
		flexible(ctx, all, azure)
	}
	all.Exit()
}
