// Command mcp is a server of the Model Context Protocol, and a client that knows no more than its
// URL: both are what users of the Go SDK write. Beside it there is only the person, who signs in
// and allows what the client asks for.
//
//	mcp URL LISTEN NAME:PASSWORD TOOL…
//
// The server listens at LISTEN, behind whatever is at URL. The client calls the tools, one after
// another, and prints what each has answered.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := serve(os.Args[2])
	if err == nil {
		err = call(ctx, os.Args[1], os.Args[3], os.Args[4:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mcp:", err)
		os.Exit(1)
	}
}

type order struct {
	ID string `json:"id"`
}

// serve offers two tools, without a thought of who calls them.
func serve(address string) error {
	server := mcp.NewServer(&mcp.Implementation{Name: "orders", Version: "1"}, nil)
	for _, tool := range []string{"get_order", "delete_order"} {
		mcp.AddTool(server, &mcp.Tool{Name: tool, Description: tool}, func(_ context.Context, r *mcp.CallToolRequest, in order) (*mcp.CallToolResult, any, error) {
			token := r.Extra.Header.Get("Authorization")
			text := fmt.Sprintf("%s %s for %s, token %q", tool, in.ID, r.Extra.Header.Get("X-User"), token)
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
		})
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true})
	go func() { _ = http.Serve(listener, handler) }()
	return nil
}

// call connects, and calls each of the tools.
func call(ctx context.Context, at, credential string, tools []string) error {
	const redirect = "http://127.0.0.1:8765/callback" // nobody listens: the person reads the address
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName: "Agent", RedirectURIs: []string{redirect}, TokenEndpointAuthMethod: "none",
			GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
		}},
		AuthorizationCodeFetcher: func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			return allow(ctx, args.URL, credential)
		},
		RequestRefreshToken: true,
	})
	if err != nil {
		return err
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: at, OAuthHandler: handler}, nil)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer session.Close()
	fmt.Println("connected:", session.InitializeResult().ProtocolVersion)
	for _, tool := range tools {
		result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: order{"7"}})
		if err != nil {
			return fmt.Errorf("call %s: %w", tool, err)
		}
		fmt.Println("answer:", result.Content[0].(*mcp.TextContent).Text)
	}
	return nil
}

var hidden = regexp.MustCompile(`name="page" value="([^"]*)"`)

// allow is the person at a browser: it opens the page, signs in and allows what it asks for. It
// ends where the browser would be sent to the client.
func allow(ctx context.Context, page, credential string) (*auth.AuthorizationResult, error) {
	asked, err := url.Parse(page)
	if err != nil {
		return nil, err
	}
	fmt.Println("asked for:", asked.Query().Get("scope"), "at", asked.Query().Get("resource"))
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	_, text, err := send(ctx, browser, http.MethodGet, page, credential, nil)
	if err != nil {
		return nil, err
	}
	found := hidden.FindStringSubmatch(text)
	if found == nil {
		return nil, errors.New("this is no page to allow something: " + text)
	}
	to, text, err := send(ctx, browser, http.MethodPost, page, credential, url.Values{"page": {found[1]}, "decision": {"allow"}})
	if err != nil {
		return nil, err
	}
	answer := to.Query()
	if answer.Get("code") == "" {
		return nil, fmt.Errorf("no code: %s %s", to, text)
	}
	return &auth.AuthorizationResult{Code: answer.Get("code"), State: answer.Get("state"), Iss: answer.Get("iss")}, nil
}

// send makes a request, and returns where the browser is sent, or the body.
func send(ctx context.Context, browser *http.Client, method, to, credential string, form url.Values) (*url.URL, string, error) {
	r, err := http.NewRequestWithContext(ctx, method, to, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, "", err
	}
	name, password, _ := strings.Cut(credential, ":")
	r.SetBasicAuth(name, password)
	if form != nil {
		r.URL.RawQuery = ""
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := browser.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, "", err
	}
	if location, err := res.Location(); err == nil {
		return location, "", nil
	}
	if res.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("%s: %s %s", to, res.Status, body)
	}
	return new(url.URL), string(body), nil
}
