package store_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
)

// What may happen only once is a Swap: of two callers that loaded the same version, one gets
// ErrConflict.
func ExampleStore_swap() {
	ctx := context.Background()
	s := memory.New(memory.Options{})
	defer s.Close()

	fresh := store.Record{Kind: "code", ID: "4f1c", Data: []byte("fresh")}
	if err := s.Insert(ctx, fresh); err != nil {
		fmt.Println(err)
	}
	loaded, err := s.Load(ctx, "code", "4f1c")
	if err != nil {
		fmt.Println(err)
	}
	spent := loaded
	spent.Data = []byte("spent") // kept until it expires, so that a replay is recognized

	fmt.Println("first:", s.Swap(ctx, loaded, spent))
	fmt.Println("second is a conflict:", errors.Is(s.Swap(ctx, loaded, spent), store.ErrConflict))
	// Output:
	// first: <nil>
	// second is a conflict: true
}
