package page

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"

	"golang.org/x/text/language"
)

//go:embed texts/*.json
var texts embed.FS

// readTexts returns the texts of each language, by key. A folder may have further languages, and
// others in the place of some texts: what it leaves out is that of the same language here, or
// English.
func readTexts(folder fs.FS) (map[string]map[string]string, error) {
	all := make(map[string]map[string]string)
	for _, from := range []fs.FS{texts, folder} {
		if from == nil {
			continue
		}
		names, err := fs.Glob(from, "texts/*.json")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if err := readLanguage(all, from, name); err != nil {
				return nil, err
			}
		}
	}
	for _, known := range all {
		for key, text := range all[fallback] {
			if known[key] == "" {
				known[key] = text
			}
		}
	}
	return all, nil
}

// fallback is the language of texts that are not translated.
const fallback = "en"

func readLanguage(all map[string]map[string]string, from fs.FS, name string) error {
	content, err := fs.ReadFile(from, name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	tag, err := language.Parse(strings.TrimSuffix(path.Base(name), ".json"))
	if err != nil {
		return fmt.Errorf("%s: the name of the file must be that of a language, such as de.json: %w", name, err)
	}
	known := all[tag.String()]
	if known == nil {
		known = make(map[string]string)
		all[tag.String()] = known
	}
	given := make(map[string]bool)
	line, err := readObject(content, func(key, value string) error {
		switch {
		case from != texts && all[fallback][key] == "":
			return fmt.Errorf("there is no text %q", key)
		case given[key]:
			return fmt.Errorf("%q is given twice", key)
		}
		given[key], known[key] = true, value
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s:%d: %w", name, line, err)
	}
	return nil
}

// readObject reads a JSON object of texts. The line is that of the error.
func readObject(content []byte, each func(key, value string) error) (line int, err error) {
	d := json.NewDecoder(bytes.NewReader(content))
	next := func(want json.Token) (text string) {
		var token json.Token
		if err != nil {
			return ""
		}
		if token, err = d.Token(); errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		text, isText := token.(string)
		if err == nil && token != want && (want != "" || !isText) {
			err = fmt.Errorf("%v is none", token)
		}
		if err != nil {
			err = fmt.Errorf("it must be an object of texts: %w", err)
		}
		return text
	}
	next(json.Delim('{'))
	for err == nil && d.More() {
		key := next("")
		if value := next(""); err == nil {
			err = each(key, value)
		}
	}
	next(json.Delim('}'))
	if err == nil && len(bytes.TrimSpace(content[d.InputOffset():])) > 0 {
		err = errors.New("it must be an object of texts: there is something after it")
	}
	return 1 + bytes.Count(content[:d.InputOffset()], []byte("\n")), err
}

// matcher returns what chooses among the languages, and their names in its order: English is that
// of whoever asks for none of them.
func matcher(all map[string]map[string]string) (language.Matcher, []string) {
	names := []string{fallback}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name != fallback {
			names = append(names, name)
		}
	}
	tags := make([]language.Tag, len(names))
	for i, name := range names {
		tags[i] = language.Make(name) // readLanguage has parsed it
	}
	return language.NewMatcher(tags), names
}

// maxLanguages bounds what is read of a list of languages, in bytes.
const maxLanguages = 256

// language returns the language of an answer: of those that the request names, which a client may
// do as well (OpenID Connect Core §3.1.2.1: ui_locales).
func (s *Set) language(r *http.Request) string {
	var wanted []string
	if asked := r.URL.Query().Get("ui_locales"); asked != "" {
		wanted = append(wanted, strings.ReplaceAll(clip(asked), " ", ","))
	}
	if accepted := r.Header.Get("Accept-Language"); accepted != "" {
		wanted = append(wanted, clip(accepted))
	}
	_, i := language.MatchStrings(s.matcher, wanted...)
	return s.languages[i]
}

func clip(list string) string { return list[:min(len(list), maxLanguages)] }
