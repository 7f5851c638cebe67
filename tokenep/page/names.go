package page

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	defines = regexp.MustCompile(`{{-?\s*define\s+"([^"]+)"`)
	uses    = regexp.MustCompile(`{{-?\s*(?:template|block)\s+"([^"]+)"`)
)

// checkNames refuses files of a folder that take the place of none, and templates in them that
// nothing shows: their names are misspelt, and the usual ones would be shown without a word.
func checkNames(folder fs.FS, files []string, usual *template.Template) error {
	var names []string
	for _, t := range usual.Templates() {
		if t.Name() != "" {
			names = append(names, t.Name())
		}
	}
	slices.Sort(names)
	contents, used := make(map[string][]byte), slices.Clone(names)
	for _, file := range files {
		if !slices.Contains(names, path.Base(file)) {
			pages := slices.DeleteFunc(names, func(name string) bool { return path.Ext(name) == "" })
			return fmt.Errorf("%s: there is no template of this name; there are %s", file, strings.Join(pages, ", "))
		}
		content, err := fs.ReadFile(folder, file)
		if err != nil {
			return err
		}
		contents[file] = content
		for _, use := range uses.FindAllSubmatch(content, -1) {
			used = append(used, string(use[1]))
		}
	}
	for _, file := range files {
		for _, at := range defines.FindAllSubmatchIndex(contents[file], -1) {
			if name := string(contents[file][at[2]:at[3]]); !slices.Contains(used, name) {
				line := 1 + bytes.Count(contents[file][:at[0]], []byte("\n"))
				return fmt.Errorf("%s:%d: nothing shows a template %q; there are %s", file, line, name, strings.Join(names, ", "))
			}
		}
	}
	return nil
}
