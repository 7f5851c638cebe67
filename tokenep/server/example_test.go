package server_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/oauth2/clientcredentials"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/verify"
)

// A program that issues tokens and protects an API with them, and a client that was written for any
// OAuth server.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	url := "http://" + listener.Addr().String()

	// The issuer. Its store may be any that passes storetest; the bolt one survives the process.
	issuer, err := server.New(server.Config{
		Issuer: url,
		Store:  memory.New(memory.Options{}),
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Clients: []tokenep.Client{{
			ID:         "billing",
			Secrets:    []tokenep.Secret{{Hash: tokenep.HashSecret("a secret of at least 256 random bits")}},
			GrantTypes: []string{grant.ClientCredentialsType},
			Scope:      verify.Scope{"orders:read", "orders:write"},
			Audience:   []string{url + "/orders"},
		}},
	})
	if err != nil {
		panic(err)
	}
	routes, err := issuer.Mount(server.Paths{})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()

	// The API. It trusts the issuer in its own process, and fetches nothing.
	trusted := issuer.Trusted()
	trusted.Audience = []string{url + "/orders"}
	verifier, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{trusted}})
	if err != nil {
		panic(err)
	}
	orders := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := verify.FromContext(r.Context())
		fmt.Fprintf(w, "orders, for %s", token.ClientID)
	})
	guard := &verify.Guard{Verifier: verifier, Scope: verify.Scope{"orders:read"}}
	mux.Handle("/orders", guard.Handler(orders))

	err = issuer.Start(ctx)
	if err != nil {
		panic(err)
	}
	program := &http.Server{Handler: routes.Handler(mux), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = program.Serve(listener) }()
	defer program.Close()

	client := (&clientcredentials.Config{
		ClientID: "billing", ClientSecret: "a secret of at least 256 random bits", TokenURL: url + "/oauth/token", Scopes: []string{"orders:read"},
	}).Client(ctx)
	for _, c := range []*http.Client{client, http.DefaultClient} {
		response, err := c.Get(url + "/orders")
		if err != nil {
			panic(err)
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		fmt.Printf("%d %q\n", response.StatusCode, body)
	}
	// Output:
	// 200 "orders, for billing"
	// 401 "{\"error_description\":\"no access token was sent\",\"scope\":\"orders:read\"}"
}
