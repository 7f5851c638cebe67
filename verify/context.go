package verify

import "context"

// tokenContext is a context.WithValue that gets its value after the request was copied, so that the
// request is copied once.
type tokenContext struct {
	context.Context
	token *Token
}

type contextKey struct{}

func (c *tokenContext) Value(key any) any {
	if key == (contextKey{}) && c.token != nil {
		return c.token
	}
	return c.Context.Value(key)
}

// NewContext returns a context that carries the verified token of a request.
func NewContext(ctx context.Context, t *Token) context.Context {
	return &tokenContext{Context: ctx, token: t}
}

// FromContext returns the verified token of the request to which ctx belongs.
func FromContext(ctx context.Context) (*Token, bool) {
	t, ok := ctx.Value(contextKey{}).(*Token)
	return t, ok
}
