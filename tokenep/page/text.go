package page

import (
	"embed"
	"encoding/json"
	"fmt"
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
				return nil, fmt.Errorf("%s: %w", name, err)
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
	text, err := fs.ReadFile(from, name)
	if err != nil {
		return err
	}
	tag, err := language.Parse(strings.TrimSuffix(path.Base(name), ".json"))
	if err != nil {
		return fmt.Errorf("the name of the file must be that of a language, such as de.json: %w", err)
	}
	read := make(map[string]string)
	if err := json.Unmarshal(text, &read); err != nil {
		return fmt.Errorf("it must be an object of texts: %w", err)
	}
	known := all[tag.String()]
	if known == nil {
		known = make(map[string]string)
		all[tag.String()] = known
	}
	for key, value := range read {
		if from != texts && all[fallback][key] == "" {
			return fmt.Errorf("there is no text %q", key)
		}
		known[key] = value
	}
	return nil
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
