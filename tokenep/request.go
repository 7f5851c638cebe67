package tokenep

import (
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
	Client  *Client       // that was authenticated; nil when nobody presented credentials
	Bearer  *verify.Token // by which Client was authenticated; nil: otherwise
	Dialect *Dialect      // how this path differs from the RFCs; never nil
	Outcome *Outcome      // what the log and the metrics will say; never nil
	Shown   Possession    // the keys that its sender has

	Scope    verify.Scope // the scope asked for; nil when none was
	Audience []string     // audience and resource values (RFC 8693 §2.1, RFC 8707 §2), each once

	resources []string // those of Audience that are resources
	checked   bool     // the header, by Authenticator.checkHeader
}

// Form is the parameters of a request. A parameter without a value is not there (RFC 6749 §3.2).
//
// It has the parameters that the RFCs say for every request, and those that the grant or the
// endpoint has declared. Each of them occurs once; a repeated one was refused before anybody could
// read it. All others are unknown, and ignored however often they occur (§3.2).
type Form struct{ values map[string][]string }

// Get returns the value of the parameter, or "".
func (f *Form) Get(name string) string {
	if values := f.values[name]; len(values) == 1 {
		return values[0]
	}
	return ""
}

// Has reports whether the parameter occurs with a value, once or more often.
func (f *Form) Has(name string) bool {
	return slices.ContainsFunc(f.values[name], func(v string) bool { return v != "" })
}

// Require returns the value of a REQUIRED parameter, or InvalidRequest with the given description.
func (f *Form) Require(name, description string) (string, error) {
	if v := f.Get(name); v != "" {
		return v, nil
	}
	return "", InvalidRequest.Describe(description)
}

// clientParameters are the parameters of client authentication (RFC 6749 §2.3.1, RFC 7521 §4.2).
var clientParameters = []string{"client_id", "client_secret", "client_assertion", "client_assertion_type"}

// pipelineParameters are what the pipeline itself reads of a token request. The last two are lists
// (RFC 8693 §2.1, RFC 8707 §2): they alone may be repeated.
var pipelineParameters = []string{"grant_type", "scope", "audience", "resource"}

// registered are the other parameters of the RFCs for the token endpoint and its siblings. They
// must not be repeated even where nobody reads them.
var registered = []string{
	"code", "redirect_uri", "code_verifier", "refresh_token", "username", "password", "assertion",
	"device_code", "subject_token", "subject_token_type", "actor_token", "actor_token_type",
	"requested_token_type", "token", "token_type_hint",
}

// once refuses those of these parameters that are no text, or are repeated (§3.2).
func (f *Form) once(names ...[]string) error {
	repeated := false
	for name, values := range f.values {
		switch {
		case len(values) == 1 || !isOf(names, name):
		case len(values) == 0: // see parseJSON
			return InvalidRequest.Describe("a parameter is not a string")
		case name != "audience" && name != "resource":
			repeated = true
		}
	}
	if repeated {
		return InvalidRequest.Describe("a parameter is repeated")
	}
	return nil
}

// keep drops every parameter that is none of these.
func (f *Form) keep(names ...[]string) {
	for name := range f.values {
		if !isOf(names, name) {
			delete(f.values, name)
		}
	}
}

// isOf reports whether a parameter is in one of the lists.
func isOf(lists [][]string, name string) bool {
	for _, list := range lists {
		if slices.Contains(list, name) {
			return true
		}
	}
	return false
}

// readForm parses the body of r, whose outcome will be o. What is wrong with the header is said
// before the body is waited for; a may be nil.
func readForm(r *http.Request, d *Dialect, a *Authenticator, o *Outcome) (*Request, error) {
	parse, err := parser(r.Header, d)
	if err != nil {
		return nil, err
	}
	if err := checkBody(r); err != nil {
		return nil, err
	}
	if err := a.checkHeader(r.Header); err != nil {
		return nil, err
	}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	values, err := parse(body)
	if err != nil {
		return nil, err
	}
	for _, name := range d.Ignore {
		delete(values, name)
	}
	form := &Form{values}
	if err := form.once(clientParameters, pipelineParameters, registered); err != nil {
		return nil, err
	}
	for name, v := range values {
		if len(v) == 1 && v[0] == "" {
			delete(values, name)
		}
	}
	return &Request{Request: r, Form: form, Dialect: d, Outcome: o, checked: a != nil}, nil
}

// ReadRequest parses the body of a token request. It reads scope, audience and resource too, since
// their syntax is the same for every grant.
func ReadRequest(r *http.Request, d *Dialect) (*Request, error) {
	return readRequest(r, d, nil, new(Outcome))
}

func readRequest(r *http.Request, d *Dialect, a *Authenticator, o *Outcome) (*Request, error) {
	req, err := readForm(r, d, a, o)
	if err != nil {
		return nil, err
	}
	return req, req.readTarget()
}

// declare leaves in the form what is read of a request: the parameters that were declared, and
// those of every request.
func (r *Request) declare(parameters, more []string) error {
	if err := r.Form.once(parameters); err != nil {
		return err
	}
	r.Form.keep(parameters, more, clientParameters)
	return nil
}

// checkBody refuses a body that need not be read to be refused.
func checkBody(r *http.Request) error {
	if r.ContentLength > maxBody {
		return tooLarge("the request body is larger than 64 KiB")
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return InvalidRequest.Describe("the request body must not be compressed")
	}
	return nil
}

// readBody reads at most maxBody bytes.
func readBody(r *http.Request) ([]byte, error) {
	if err := checkBody(r); err != nil {
		return nil, err
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
		return nil, unreadable(err)
	case len(body) > maxBody:
		return nil, tooLarge("the request body is larger than 64 KiB")
	}
	return body, nil
}

func tooLarge(description string) *Error {
	e := InvalidRequest.Describe(description)
	e.Status = http.StatusRequestEntityTooLarge
	return e
}

// unreadable is the refusal of a body that could not be read. Whoever limits the body says so in
// its error: 413, or an *Error of its own.
func unreadable(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge("the request body is larger than the server takes").Because(err)
	}
	return InvalidRequest.Describe("the request body could not be read").Because(err)
}

// parser chooses the parser by the media type, which needs no body.
func parser(h http.Header, d *Dialect) (func(body []byte) (map[string][]string, error), error) {
	const formType = "application/x-www-form-urlencoded"
	mediaType := ""
	if lines := h["Content-Type"]; len(lines) == 1 {
		if mediaType = lines[0]; mediaType != formType { // as nearly every client writes it
			mediaType, _, _ = mime.ParseMediaType(mediaType)
		}
	}
	switch {
	case mediaType == formType:
		return parseForm, nil
	case mediaType == "application/json" && d.JSON:
		return parseJSON, nil
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
	if len(r.Form.values["audience"])+len(r.Form.values["resource"]) > maxTargets {
		return InvalidTarget.Describe("more than 32 audiences and resources")
	}
	for _, resource := range r.Form.values["resource"] {
		if u, err := url.Parse(resource); resource != "" && (err != nil || !u.IsAbs() || strings.Contains(resource, "#")) {
			return InvalidTarget.Describe("a resource must be an absolute URI without a fragment")
		}
	}
	r.resources = r.Form.values["resource"]
	for _, target := range slices.Concat(r.Form.values["audience"], r.resources) {
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
