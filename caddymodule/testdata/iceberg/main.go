// Command iceberg lists the namespaces of an Iceberg REST catalog, as often as it is told, with the
// credential in its second argument. It is what users of iceberg-go write.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/apache/iceberg-go/catalog/rest"
)

func main() {
	times, err := strconv.Atoi(os.Args[3])
	if err == nil {
		err = list(context.Background(), os.Args[1], os.Args[2], times)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "iceberg:", err)
		if errors.Is(err, rest.ErrOAuthError) {
			fmt.Fprintln(os.Stderr, "it is an OAuth error")
		}
		os.Exit(1)
	}
}

func list(ctx context.Context, uri, credential string, times int) error {
	catalog, err := rest.NewCatalog(ctx, "rest", uri, rest.WithCredential(credential))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	for range times {
		namespaces, err := catalog.ListNamespaces(ctx, nil)
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		fmt.Println(namespaces)
	}
	return nil
}
