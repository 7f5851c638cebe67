package tokenep

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tokenep/caddy-tokenep/verify"
)

// maxBody bounds what is read of a request, in bytes: the largest honest one carries two JWTs of 8
// KiB and a few short parameters.
const maxBody = 64 << 10

// Request is one request to an endpoint, parsed. Its parameters come from the body and from nowhere
// else (RFC 6749 §2.3.1 forbids credentials in the URL).
type Request struct {
	*http.Request
	Form    *Form
	Client  *Client  // the client that was authenticated; nil when nobody presented credentials
	Dialect *Dialect // how this path of the endpoint differs from the RFCs; never nil
	Outcome *Outcome // what the log and the metrics will say; never nil

	Scope    verify.Scope // the scope asked for; nil when none was
	Audience []string     // audience and resource values (RFC 8693 §2.1, RFC 8707 §2), each once
}

// Dialect is how one path of an endpoint differs from the RFCs, for the sake of clients that were
// written for another server. The zero value differs in nothing.
type Dialect struct {
	JSON              bool     // bodies may also be a JSON object of strings
	SubjectTokenType  string   // what an exchange without subject_token_type means
	SubjectTokenError Code     // for a bad subject token; empty: invalid_request (RFC 8693 §2.2.2)
	Ignore            []string // parameters that are accepted and mean nothing here
}

// Form is the parameters of a request. A parameter without a value is not there (RFC 6749 §3.2).
//
// Each parameter that is read may occur once; only audience and resource are lists. Get never
// returns a value of a repeated one, and from then on Err is InvalidRequest: the pipeline asks for
// it, so that no grant has to. A repeated parameter that nobody reads is ignored like every unknown
// one (§3.2).
type Form struct {
	values   map[string][]string
	repeated bool // a repeated parameter was read
}

// Get returns the value of the parameter, or "".
func (f *Form) Get(name string) string {
	switch values := f.values[name]; len(values) {
	case 0:
		return ""
	case 1:
		return values[0]
	default:
		f.repeated = true
		return ""
	}
}

// Require returns the value of a REQUIRED parameter, or InvalidRequest with the given description.
func (f *Form) Require(name, description string) (string, error) {
	v := f.Get(name)
	switch {
	case f.repeated:
		return "", f.Err()
	case v == "":
		return "", InvalidRequest.Describe(description)
	}
	return v, nil
}

// List returns the values of audience or resource, which may be repeated (RFC 8693 §2.1, RFC 8707
// §2).
func (f *Form) List(name string) []string { return f.values[name] }

// Err returns InvalidRequest if a parameter that was read is repeated (RFC 6749 §3.2).
func (f *Form) Err() error {
	if f.repeated {
		return InvalidRequest.Describe("a parameter is repeated")
	}
	return nil
}

// registered are the parameters of the RFCs. They must not be repeated even where nobody reads
// them.
var registered = []string{
	"grant_type", "scope", "client_id", "client_secret", "client_assertion", "client_assertion_type",
	"code", "redirect_uri", "code_verifier", "refresh_token", "username", "password", "assertion",
	"device_code", "subject_token", "subject_token_type", "actor_token", "actor_token_type",
	"requested_token_type", "token", "token_type_hint",
}

// ReadRequest parses the body of r. It reads scope, audience and resource too, since their syntax
// is the same for every grant.
func ReadRequest(r *http.Request, d *Dialect) (*Request, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	values, err := parseBody(r.Header, body, d)
	if err != nil {
		return nil, err
	}
	for _, name := range d.Ignore {
		delete(values, name)
	}
	form := &Form{values: values}
	for _, name := range registered {
		form.Get(name)
	}
	if err := form.Err(); err != nil {
		return nil, err
	}
	for name, v := range values {
		if len(v) == 1 && v[0] == "" {
			delete(values, name)
		}
	}
	req := &Request{Request: r, Form: form, Dialect: d, Outcome: new(Outcome)}
	return req, req.readTarget()
}

// readBody reads at most maxBody bytes.
func readBody(r *http.Request) ([]byte, error) {
	tooLarge := func() error {
		e := InvalidRequest.Describe("the request body is larger than 64 KiB")
		e.Status = http.StatusRequestEntityTooLarge
		return e
	}
	if r.ContentLength > maxBody {
		return nil, tooLarge()
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return nil, InvalidRequest.Describe("the request body must not be compressed")
	}
	var body []byte
	var err error
	if r.ContentLength >= 0 { // net/http ends the body there
		body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(r.Body, body)
	} else {
		body, err = io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	}
	switch {
	case err != nil:
		return nil, InvalidRequest.Describe("the request body could not be read").Because(err)
	case len(body) > maxBody:
		return nil, tooLarge()
	}
	return body, nil
}

// parseBody chooses the parser by the media type.
func parseBody(h http.Header, body []byte, d *Dialect) (map[string][]string, error) {
	mediaType := ""
	if lines := h.Values("Content-Type"); len(lines) == 1 {
		mediaType, _, _ = mime.ParseMediaType(lines[0])
	}
	switch {
	case mediaType == "application/x-www-form-urlencoded":
		return parseForm(body)
	case mediaType == "application/json" && d.JSON:
		return parseJSON(body)
	case d.JSON:
		return nil, InvalidRequest.Describe("the Content-Type must be application/x-www-form-urlencoded or application/json")
	default:
		return nil, InvalidRequest.Describe("the Content-Type must be application/x-www-form-urlencoded")
	}
}

// parseForm parses application/x-www-form-urlencoded (RFC 6749 appendix B): UTF-8 under
// percent-encoding, separated by & alone.
func parseForm(body []byte) (map[string][]string, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, InvalidRequest.Describe("the body is not application/x-www-form-urlencoded").Because(err)
	}
	for name, values := range form {
		if !isText(name) || slices.ContainsFunc(values, func(v string) bool { return !isText(v) }) {
			return nil, InvalidRequest.Describe("a parameter is not UTF-8 text")
		}
	}
	return form, nil
}

func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

var errJSON = errors.New("not an object of strings")

// parseJSON parses a JSON object whose members are strings. encoding/json would keep the last of
// repeated members, so the tokens are read one by one.
func parseJSON(body []byte) (map[string][]string, error) {
	form, err := readObject(json.NewDecoder(bytes.NewReader(body)))
	if err != nil {
		return nil, InvalidRequest.Describe("the body is not a JSON object of strings, each member once").Because(err)
	}
	return form, nil
}

func readObject(d *json.Decoder) (map[string][]string, error) {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.Join(errJSON, err)
	}
	form := map[string][]string{}
	for d.More() {
		name, err := readString(d)
		if err != nil {
			return nil, err
		}
		value, err := readString(d)
		if err != nil {
			return nil, err
		}
		if _, twice := form[name]; twice {
			return nil, errJSON
		}
		form[name] = []string{value}
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.Join(errJSON, err)
	}
	return form, nil
}

// readString reads one string. The decoder puts U+FFFD where bytes are not UTF-8 or an escape names
// half a character, so U+FFFD is refused, like NUL.
func readString(d *json.Decoder) (string, error) {
	t, err := d.Token()
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok || strings.ContainsAny(s, "\x00\uFFFD") {
		return "", errJSON
	}
	return s, nil
}

// maxTargets bounds the work of comparing lists, which is done before anybody has authenticated.
const maxTargets = 32

// readTarget reads what the client wants the token for.
func (r *Request) readTarget() error {
	var err error
	if s := r.Form.Get("scope"); s != "" {
		if r.Scope, err = verify.ParseScope(s); err != nil {
			return InvalidScope.Describe("the scope is malformed").Because(err)
		}
	}
	if len(r.Form.List("audience"))+len(r.Form.List("resource")) > maxTargets {
		return InvalidTarget.Describe("more than 32 audiences and resources")
	}
	for _, resource := range r.Form.List("resource") {
		if u, err := url.Parse(resource); resource != "" && (err != nil || !u.IsAbs() || strings.Contains(resource, "#")) {
			return InvalidTarget.Describe("a resource must be an absolute URI without a fragment")
		}
	}
	for _, target := range slices.Concat(r.Form.List("audience"), r.Form.List("resource")) {
		if target != "" && !slices.Contains(r.Audience, target) {
			r.Audience = append(r.Audience, target)
		}
	}
	return nil
}

// SubjectTokenType returns the subject_token_type of an exchange, or the dialect's default.
func (r *Request) SubjectTokenType() string {
	if t := r.Form.Get("subject_token_type"); t != "" {
		return t
	}
	return r.Dialect.SubjectTokenType
}
