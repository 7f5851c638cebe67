package tokenep

import (
	"net/http"
	"net/url"
	"slices"
)

// ReadParameters reads the parameters of a request that a browser sends: those of the query of a
// GET, and those of the form of a POST (RFC 6749 §3.1). Only these names are read; other parameters
// are ignored, however often they occur. All but resource may occur once. The error may be that of
// a repeated parameter: then there are others in the form, of which a client can be told.
func ReadParameters(r *http.Request, names []string) (*Form, error) {
	text := []byte(r.URL.RawQuery)
	if r.Method == http.MethodPost {
		if _, err := parser(r.Header, new(Dialect)); err != nil {
			return new(Form), err
		}
		var err error
		if text, err = readBody(r); err != nil {
			return new(Form), err
		}
	}
	values, err := parseForm(text)
	if err != nil {
		return new(Form), err
	}
	form := &Form{values}
	form.keep(names)
	return form, form.once(names)
}

// ReadResources returns the resource parameters (RFC 8707 §2) as they are written in allowed.
func (f *Form) ReadResources(allowed []string) ([]string, error) {
	r := Request{Form: &Form{map[string][]string{"resource": f.values["resource"]}}}
	if err := r.readTarget(); err != nil {
		return nil, err
	}
	targets, ok := r.Within(allowed)
	if !ok {
		return nil, InvalidTarget.Describe("the client may not ask for this resource")
	}
	return targets, nil
}

// Query returns the parameters of these names as the query of a URL. Those without a value are left
// out: they are as good as absent (RFC 6749 §3.1).
func (f *Form) Query(names []string) string {
	values := make(url.Values)
	for _, name := range names {
		if all := slices.DeleteFunc(slices.Clone(f.values[name]), func(v string) bool { return v == "" }); len(all) > 0 {
			values[name] = all
		}
	}
	return values.Encode()
}
