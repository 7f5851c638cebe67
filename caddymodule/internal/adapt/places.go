package adapt

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// Places says where the lines of a block are, by the words of each: "client billing", and below it
// "secret". What a load finds wrong, and nobody can know before, is named by them.
//
// The JSON of a configuration has no lines. They are remembered until the load that follows, in the
// process that has read the Caddyfile: "caddy run" and "caddy validate" know them, and a server to
// which "caddy reload" sends JSON does not. A nil Places knows nothing.
type Places struct {
	block string            // file:line
	lines map[string]string // likewise, by path; empty: there are several
}

const below = "\x00" // between the parts of a path

// PlacesIn returns where the lines of the block are whose first word is next at d. It does not move
// d.
func PlacesIn(d *caddyfile.Dispenser) *Places {
	p := &Places{lines: make(map[string]string)}
	block := *d
	block.Next()
	p.block = place(&block)
	block.RemainingArgs()
	p.read(&block, "")
	return p
}

func place(d *caddyfile.Dispenser) string { return fmt.Sprintf("%s:%d", d.File(), d.Line()) }

// read notes the lines of a block, by their words and, where there are not several of one, by the
// first of them.
func (p *Places) read(d *caddyfile.Dispenser, path string) {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		at, option := place(d), path+d.Val()
		if args := d.RemainingArgs(); len(args) > 0 {
			p.note(option, at)
			option += " " + args[0]
		}
		p.note(option, at)
		p.read(d, option+below)
	}
}

func (p *Places) note(path, at string) {
	if _, several := p.lines[path]; several {
		at = ""
	}
	p.lines[path] = at
}

// at returns the place of the innermost of these blocks that is known, or of the first of the
// options in it that is.
func (p *Places) at(blocks, options []string) string {
	at, path := p.block, ""
	for _, block := range blocks {
		to := path + block
		if p.lines[to] == "" {
			to = p.within(block)
		}
		if found := p.lines[to]; found != "" {
			at, path = found, to+below
		}
	}
	for _, option := range options {
		if found := p.lines[path+option]; found != "" {
			return found
		}
	}
	return at
}

// within returns the path of the one block of that name that is within another; empty: there is
// none, or there are several.
func (p *Places) within(block string) (path string) {
	for inner, at := range p.lines {
		if strings.HasSuffix(inner, below+block) {
			if path != "" || at == "" {
				return ""
			}
			path = inner
		}
	}
	return path
}

// remembered are the places of what was read and not yet loaded, by the hash of its JSON.
var remembered = struct {
	sync.Mutex
	by map[[sha256.Size]byte]*rememberedPlaces
}{by: make(map[[sha256.Size]byte]*rememberedPlaces)}

type rememberedPlaces struct {
	*Places
	load <-chan struct{} // the end of the configuration that they were looked up for; nil: none yet
	of   any             // the Caddyfile, as it was read once
}

// maxRemembered bounds what is remembered of configurations that are only adapted.
const maxRemembered = 4096

// hashOf returns the hash of a configuration, or of its JSON, in whatever order Caddy has put that.
func hashOf(config any) (sum [sha256.Size]byte, ok bool) {
	var members any
	text, err := json.Marshal(config)
	if err = errors.Join(err, json.Unmarshal(text, &members)); err == nil {
		text, err = json.Marshal(members)
	}
	return sha256.Sum256(text), err == nil
}

// Remember keeps the places of a block for the load of what it was adapted to. Where several are
// alike in one Caddyfile, all of them are named; nil: there is no other like it.
func (p *Places) Remember(config any, in *httpcaddyfile.Helper) {
	key, ok := hashOf(config)
	if !ok {
		return
	}
	remembered.Lock()
	defer remembered.Unlock()
	if len(remembered.by) >= maxRemembered {
		clear(remembered.by)
	}
	of := p.caddyfile(in)
	if like := remembered.by[key]; like != nil && of != nil && like.of == of {
		p = like.or(p)
	}
	remembered.by[key] = &rememberedPlaces{Places: p, of: of}
}

// caddyfile returns what tells a Caddyfile apart, which is read once: what its global options have
// become, or else the state of its sites, which that of its named routes is not.
func (p *Places) caddyfile(in *httpcaddyfile.Helper) any {
	if in == nil {
		return nil
	}
	for _, option := range []string{"oauth_server", "oauth_verify"} {
		if app, ok := in.Option(option).(httpcaddyfile.App); ok && len(app.Value) > 0 {
			return &app.Value[0]
		}
	}
	if in.State != nil && in.State[stateKey] == nil {
		in.State[stateKey] = p // any pointer does
	}
	return in.State[stateKey]
}

// stateKey is that of a Caddyfile in its state.
const stateKey = "tokenep.places"

// or returns the places of a block that is one of two alike.
func (p *Places) or(other *Places) *Places {
	either := func(one, two string) string {
		if one == two || one == "" {
			return two
		}
		return one + " or " + two
	}
	both := &Places{either(p.block, other.block), make(map[string]string)}
	for path, at := range p.lines {
		both.lines[path] = either(at, other.lines[path])
	}
	return both
}

// PlacesOf returns where a module was written down that is being loaded, before anything in it is
// changed. In a later load the lines may be others.
func PlacesOf(ctx caddy.Context, config any) *Places {
	key, ok := hashOf(config)
	remembered.Lock()
	defer remembered.Unlock()
	r := remembered.by[key]
	if !ok || r == nil || r.load != nil && r.load != ctx.Done() {
		return nil
	}
	r.load = ctx.Done()
	return r.Places
}

// optionError is an error of an option, or of a block: by its words.
type optionError struct {
	option string
	error
}

func (e optionError) Unwrap() error { return e.error }

// Of notes which line an error is about: the option, or the option and its first argument. It does
// not change its text.
func Of(option string, err error) error {
	if err == nil {
		return nil
	}
	return optionError{option, err}
}

// elsewhereError is an error about another block.
type elsewhereError struct{ error }

func (e elsewhereError) Unwrap() error { return e.error }

// Elsewhere notes that an error is not about the block that is being loaded, but about one that it
// needs. It does not change its text.
func Elsewhere(err error) error { return elsewhereError{err} }

// Locate adds file and line to an error of a load, if they are known, and it is not about a block
// elsewhere.
func (p *Places) Locate(err error) error {
	if _, elsewhere := errors.AsType[elsewhereError](err); p == nil || err == nil || elsewhere {
		return err
	}
	var options []string
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		if e, ok := inner.(optionError); ok { //nolint:errorlint // each of the chain is looked at
			options = append(options, e.option)
		}
	}
	return fmt.Errorf("%w, at %s", err, p.at(options, nil))
}

// Logger returns a logger for the warnings of a load: each gets file and line as "at", if they are
// known. Its attributes say which line it is about: client, issuer and policy by a name, option by
// a word, others by their own; or else the first word of the warning does, before a colon.
func (p *Places) Logger(logger *slog.Logger) *slog.Logger {
	if p == nil {
		return logger
	}
	if outer, ok := logger.Handler().(*placer); ok { // of a block that this one is in
		return slog.New(&placer{outer.Handler, p, outer.attrs})
	}
	return slog.New(&placer{Handler: logger.Handler(), places: p})
}

// placesKey is that of places in the context of what is loaded for a route.
type placesKey struct{}

// In returns the context with the places, for Warnings.
func (p *Places) In(ctx caddy.Context) caddy.Context { return ctx.WithValue(placesKey{}, p) }

// Warnings returns the logger of a context for the warnings of a load, about a block: see
// [Places.Logger].
func Warnings(ctx caddy.Context, block, name string) *slog.Logger {
	p, _ := ctx.Value(placesKey{}).(*Places)
	return p.Logger(ctx.Slogger()).With(block, name)
}

// placer adds places to warnings.
type placer struct {
	slog.Handler
	places *Places
	attrs  []slog.Attr // that it has
}

// Handle writes a line.
func (h *placer) Handle(ctx context.Context, r slog.Record) error {
	if r.Level != slog.LevelWarn {
		return h.Handler.Handle(ctx, r)
	}
	attrs := slices.Clone(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	word, _, _ := strings.Cut(r.Message, ":")
	var blocks, options []string
	for _, a := range slices.Backward(attrs) {
		switch a.Key {
		case "client", "issuer", "policy":
			blocks = append(blocks, a.Key+" "+a.Value.String())
			options = append(options, a.Key)
		case "option":
			options = append(options, a.Value.String())
		default:
			options = append(options, a.Key)
		}
	}
	r.AddAttrs(slog.String("at", h.places.at(append(blocks, word), options)))
	return h.Handler.Handle(ctx, r)
}

// WithAttrs returns a handler whose lines have more attributes.
func (h *placer) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &placer{h.Handler.WithAttrs(attrs), h.places, slices.Concat(h.attrs, attrs)}
}

// WithGroup returns a handler whose further attributes are in a group.
func (h *placer) WithGroup(name string) slog.Handler {
	return &placer{h.Handler.WithGroup(name), h.places, h.attrs}
}
