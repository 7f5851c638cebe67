package oauthadmin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// importedLine is one API token that another system has handed out, as a line of JSON.
type importedLine struct {
	// ID is the name of the token in that system. A salted hash needs it, and a token_pattern in
	// the configuration that finds it in the token.
	ID string `json:"id,omitempty"`

	// Hash is sha256: or sha512: and the digest of the whole token, in hexadecimal or base64; or
	// its hash by bcrypt or argon2id.
	Hash string `json:"hash,omitempty"`

	// Token can be given instead: the token itself, which is not kept.
	Token string `json:"token,omitempty"`

	// TokenType is the token type identifier as which it can be exchanged; default: any of them.
	TokenType string `json:"token_type,omitempty"`

	newAPIToken
}

// imported is what a line asks for.
func (r *request) imported(line json.RawMessage) (asked state.ImportedAPIToken, err error) {
	var in importedLine
	decoder := json.NewDecoder(strings.NewReader(string(line)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		return asked, fmt.Errorf("it is not the expected JSON object: %w", withoutValue(err))
	}
	if err := in.check(); err != nil {
		return asked, err
	}
	config := &r.server.Server().Config
	if in.TokenType != "" && !server.HasTokenType(config.Exchange.APITokens, in.TokenType) {
		return asked, errors.New("token_type: it is none of the token_type of api_tokens in the configuration")
	}
	asked = state.ImportedAPIToken{Name: in.ID, Hash: in.Hash, Token: in.Token}
	if asked.APIToken, err = in.token(config.Now()); err != nil {
		return asked, err
	}
	asked.TokenType = in.TokenType
	return asked, nil
}

// withoutValue returns an error of the JSON decoder that shows no value: one could be a token.
func withoutValue(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s must not be a %s", wrong.Field, strings.Fields(wrong.Value)[0])
	}
	if _, ok := errors.AsType[*json.SyntaxError](err); ok || strings.Contains(err.Error(), "unknown field") {
		return err
	}
	return errors.New("a value is not of the expected form")
}

// importRequest is some lines, a hundred at most.
type importRequest struct {
	Lines []json.RawMessage `json:"lines"`
}

const maxImportLines = 100

// importAnswer says what became of the lines.
type importAnswer struct {
	Imported int           `json:"imported"`
	Known    int           `json:"known"` // they were imported before
	Refused  []refusedLine `json:"refused,omitempty"`

	refused int // lines of a whole file
}

// refusedLine is a line of which no API token could be made.
type refusedLine struct {
	Line   int    `json:"line"` // from 1
	Reason string `json:"reason"`
}

// importAPITokens imports API tokens that another system has handed out. A line that makes no sense
// is refused, and the others are imported; when the store is away, all is to be repeated.
func importAPITokens(r *request) (any, error) {
	tokens, err := r.apiTokens()
	if err != nil {
		return nil, err
	}
	var in importRequest
	if err := r.read(&in); err != nil {
		return nil, err
	}
	if len(in.Lines) > maxImportLines {
		return nil, refuse(http.StatusBadRequest, "lines: at most %d at once", maxImportLines)
	}
	var answer importAnswer
	for i, line := range in.Lines {
		made := false
		asked, err := r.imported(line)
		if err == nil {
			_, made, err = tokens.Import(r.Context(), asked)
			if err != nil && !errors.Is(err, state.ErrInvalid) && !errors.Is(err, state.ErrTooMany) {
				return nil, err
			}
		}
		switch {
		case err != nil:
			answer.Refused = append(answer.Refused, refusedLine{i + 1, err.Error()})
		case made:
			answer.Imported++
		default:
			answer.Known++
		}
	}
	return answer, nil
}
