package tokenep

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// RedirectPattern says which redirect URIs a client may register by itself (RFC 7591 §5). It is one
// URI, or an https URI with * in the place of
//
//	one label of the host, but for the last two:  https://*.apps.example.com/callback
//	the rest of the path, which may be empty:     https://apps.example.com/oauth/*
//
// A * of the host never stands for more than one label, nor for anything but letters, digits and
// hyphens; that of the path is not for dot segments, which a browser would resolve, nor for a
// query. A path may also end in * at a loopback host, where a pattern is for any port (RFC 8252
// §7.3).
type RedirectPattern string

// Validate returns what is wrong with the pattern.
func (p RedirectPattern) Validate() error {
	text := string(p)
	if !strings.Contains(text, "*") {
		return checkRedirectURI(text)
	}
	if err := p.validateWildcards(); err != nil {
		return fmt.Errorf("redirect pattern %q: %w", text, err)
	}
	return checkRedirectURI(strings.ReplaceAll(text, "*", "x"))
}

func (p RedirectPattern) validateWildcards() error {
	scheme, authority, path := cutURI(string(p))
	_, _, loopback := loopbackRedirect(string(p))
	labels := strings.Split(authority, ".")
	before, wild := strings.CutSuffix(path, "/*")
	switch {
	case scheme != "https" && !loopback:
		return errors.New("a pattern with * must be https, or a loopback host")
	case strings.Contains(authority, "*") && len(labels) < 3, strings.Contains(strings.Join(labels[max(0, len(labels)-2):], "."), "*"):
		return errors.New("the last two labels of the host must be written out")
	case slices.ContainsFunc(labels, func(l string) bool { return l != "*" && strings.Contains(l, "*") }):
		return errors.New("* must be a whole label of the host")
	case strings.Contains(before, "*"), wild && strings.Contains(before, "?"):
		return errors.New("* in a path must be all that follows its last slash")
	case hasDotSegment(path):
		return errors.New("its path must have no dot segments")
	}
	return nil
}

// Match reports whether a client may register the URI. It must be a good redirect URI in itself.
func (p RedirectPattern) Match(uri string) bool {
	if checkRedirectURI(uri) != nil {
		return false
	}
	if !strings.Contains(string(p), "*") {
		c := Client{RedirectURIs: []string{string(p)}}
		return c.HasRedirectURI(uri)
	}
	_, authority, path := cutURI(string(p))
	_, ofURI, rest := cutURI(uri)
	if host, _, ok := loopbackRedirect(string(p)); ok {
		other, rest, ok := loopbackRedirect(uri)
		return ok && other == host && matchPath(path, rest)
	}
	return strings.HasPrefix(uri, "https://") && matchHost(authority, ofURI) && matchPath(path, rest)
}

// cutURI cuts a URI with an authority into its parts. The path has the query with it.
func cutURI(uri string) (scheme, authority, path string) {
	scheme, authority, _ = strings.Cut(uri, "://")
	if end := strings.IndexAny(authority, "/?"); end >= 0 {
		authority, path = authority[:end], authority[end:]
	}
	return scheme, authority, path
}

// matchHost compares host and port, label by label.
func matchHost(pattern, authority string) bool {
	labels, of := strings.Split(pattern, "."), strings.Split(authority, ".")
	return slices.EqualFunc(labels, of, func(label, other string) bool {
		return label == "*" && isLabel(other) || strings.EqualFold(label, other)
	})
}

// isLabel reports whether text is a label of a host name (RFC 1123 §2.1).
func isLabel(text string) bool {
	return text != "" && strings.Trim(strings.ToLower(text), "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// matchPath compares path and query.
func matchPath(pattern, path string) bool {
	before, wild := strings.CutSuffix(pattern, "*")
	if !wild {
		return path == pattern
	}
	return strings.HasPrefix(path, before) && !strings.Contains(path, "?") && !hasDotSegment(path)
}

// hasDotSegment reports whether a browser would take a segment of the path for . or .. (URL
// Standard §4.1), however it is written.
func hasDotSegment(path string) bool {
	path, _, _ = strings.Cut(path, "?")
	return slices.ContainsFunc(strings.Split(path, "/"), func(segment string) bool {
		segment = strings.ReplaceAll(strings.ToLower(segment), "%2e", ".")
		return segment == "." || segment == ".."
	})
}
