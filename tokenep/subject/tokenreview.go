package subject

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// TokenReviewOptions say how the API of a Kubernetes cluster is asked about the tokens of its
// service accounts (RFC 7519 JWTs), by the TokenReview API of the group authentication.k8s.io/v1.
type TokenReviewOptions struct {
	URL       string   // of the API server, without a path
	Audience  []string // of which a token must have one; required
	TokenFile string   // with the token by which the API knows this server; read for each request

	Connection outbound.Options
	Answers    outbound.Answers
	Address    Address // that a request comes from
}

const tokenReviewPath = "/apis/authentication.k8s.io/v1/tokenreviews"

// Validate returns what is wrong with the options.
func (o TokenReviewOptions) Validate() error {
	if err := cmp.Or(outbound.CheckURL("url", o.URL), o.Connection.Validate(), o.Answers.Validate()); err != nil {
		return err
	}
	if u, err := url.Parse(o.URL); err != nil || u.Scheme != "https" && !outbound.Loopback(o.URL) || u.RawQuery != "" {
		return errors.New("url: it must be https, without a query; http is for this machine only")
	}
	switch {
	case len(o.Audience) == 0:
		return errors.New("audience is missing: of which names a token must have one, so that those for the API of the cluster itself are not taken")
	case o.TokenFile == "":
		return errors.New("token_file is missing: with the token by which the API of the cluster knows this server")
	}
	return nil
}

// TokenReview asks the API of a cluster about the tokens of its service accounts.
type TokenReview struct {
	o      TokenReviewOptions
	client *outbound.Client
	tokens *outbound.Tokens
	queue  queue
}

// NewTokenReview returns a TokenReview.
func NewTokenReview(o TokenReviewOptions) (*TokenReview, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.Connection.Complete()
	r := &TokenReview{o: o, client: outbound.New(o.Connection)}
	r.tokens, r.queue = outbound.NewTokens(o.Answers, o.Connection, r.ask), newQueue(o.Connection, o.Address)
	return r, nil
}

// Name returns what tells the cluster apart: the URL of its API.
func (k *TokenReview) Name() string { return k.o.URL }

// Prove is that of a Source.
func (k *TokenReview) Prove(ctx context.Context, r *tokenep.Request, token string) (*verify.Token, error) {
	return k.tokens.Ask(ctx, token, k.queue.turn(r))
}

// Close closes connections that wait for another request.
func (k *TokenReview) Close() { k.client.Close() }

// review is a TokenReview, as far as it is sent.
type review struct {
	APIVersion string     `json:"apiVersion"`
	Kind       string     `json:"kind"`
	Spec       reviewSpec `json:"spec"`
}

type reviewSpec struct {
	Token     string   `json:"token"`
	Audiences []string `json:"audiences"`
}

var errNotJWT = fmt.Errorf("%w: it is no JWT", ErrBadToken)

// ask asks about one token. Those of service accounts are JWTs, and nothing else is sent.
func (k *TokenReview) ask(ctx context.Context, token string) (t *verify.Token, err error) {
	payload, ok := payloadOf(token)
	if !ok {
		return nil, errNotJWT
	}
	err = k.client.Do(ctx, func(ctx context.Context) (*http.Request, error) {
		own, err := os.ReadFile(k.o.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("token_file: %w", err)
		}
		body, err := json.Marshal(review{"authentication.k8s.io/v1", "TokenReview", reviewSpec{token, k.o.Audience}})
		if err != nil {
			return nil, err
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(k.o.URL, "/")+tokenReviewPath, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		outbound.SetFields(r, nil)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(own)))
		return r, nil
	}, func(a *outbound.Answer) error {
		t, err = k.judge(a, payload)
		return err
	})
	return t, err
}

// payloadOf returns the payload of a JWT that nobody has verified yet.
func payloadOf(token string) (payload map[string]any, ok bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, false
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, false
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return payload, decoder.Decode(&payload) == nil && payload != nil
}

// judge says whose the token is, or that it is not good. A server that does not know about
// audiences leaves them out of its answer, and has not looked at them.
func (k *TokenReview) judge(a *outbound.Answer, payload map[string]any) (*verify.Token, error) {
	object, err := a.JSON(http.StatusOK, http.StatusCreated)
	if err != nil {
		return nil, err
	}
	status, ok := object["status"].(map[string]any)
	if !ok || object["kind"] != "TokenReview" {
		return nil, errors.New("the answer is no TokenReview with a status")
	}
	if authenticated, ok := status["authenticated"].(bool); !ok || !authenticated {
		return nil, fmt.Errorf("%w: it is not authenticated", ErrBadToken)
	}
	audience := textsOf(status["audiences"])
	if !slices.ContainsFunc(audience, func(a string) bool { return slices.Contains(k.o.Audience, a) }) {
		return nil, fmt.Errorf("%w: %w: %q, expected one of %q", ErrBadToken, errAudience, audience, k.o.Audience)
	}
	user, _ := status["user"].(map[string]any)
	claims := userClaims(user)
	if claims == nil {
		return nil, errors.New("the answer does not say whose the token is")
	}
	claims["aud"] = status["audiences"]
	for _, name := range []string{"exp", "nbf", "iat"} { // the API has found these bytes good
		if payload[name] != nil {
			claims[name] = payload[name]
		}
	}
	t, err := tokenOf(k.Name(), claims)
	if err == nil {
		t.Audience = audience
	}
	return t, err
}

// The names of extra facts about a service account (k8s.io/apiserver, pkg/authentication).
var extraClaims = map[string]string{
	"authentication.kubernetes.io/pod-name":      "pod",
	"authentication.kubernetes.io/pod-uid":       "pod_uid",
	"authentication.kubernetes.io/node-name":     "node",
	"authentication.kubernetes.io/credential-id": "jti",
}

// userClaims returns the claims that a user of the cluster has; nil: there is no name.
func userClaims(user map[string]any) map[string]any {
	name, _ := user["username"].(string)
	if name == "" {
		return nil
	}
	claims := map[string]any{"sub": name}
	for _, member := range []string{"uid", "groups", "extra"} {
		if user[member] != nil {
			claims[member] = user[member]
		}
	}
	if account, ok := strings.CutPrefix(name, "system:serviceaccount:"); ok {
		if namespace, account, ok := strings.Cut(account, ":"); ok && namespace != "" && account != "" && !strings.Contains(account, ":") {
			claims["namespace"], claims["serviceaccount"] = namespace, account
		}
	}
	extra, _ := user["extra"].(map[string]any)
	for from, claim := range extraClaims {
		if values := textsOf(extra[from]); len(values) == 1 {
			claims[claim] = strings.TrimPrefix(values[0], "JTI=")
		}
	}
	return claims
}

// textsOf returns the texts of a list; nil: it is none, or has something else.
func textsOf(value any) []string {
	list, _ := value.([]any)
	texts := make([]string, 0, len(list))
	for _, one := range list {
		text, ok := one.(string)
		if !ok {
			return nil
		}
		texts = append(texts, text)
	}
	return texts
}
