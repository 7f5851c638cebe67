package upstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
)

// Table is a file with the credentials of people at an application: a JSON object that has a string
// for each subject. It is read again when it changes; one that cannot be read changes nothing.
type Table struct {
	path   string
	form   Form
	now    func() time.Time
	logger *slog.Logger

	due     atomic.Int64 // when the file is looked at again, in Unix nanoseconds
	current atomic.Pointer[people]

	mu      sync.Mutex // held while reading
	content []byte     // from which current was parsed
	problem string     // the last one logged
}

// people are the credentials of one reading of the file, by subject.
type people map[string]verify.Credential

const (
	every    = time.Second // the least time between two looks at the file
	maxTable = 8 << 20     // bytes
)

// NewTable reads the file at path. A nil now stands for time.Now. The logger, or
// slog.Default, gets a line about each reading that finds something new, and about problems.
func NewTable(path string, form Form, now func() time.Time, logger *slog.Logger) (*Table, error) {
	t := &Table{path: path, form: form, now: now, logger: logger}
	if now == nil {
		t.now = time.Now
	}
	if logger == nil {
		t.logger = slog.Default()
	}
	return t, t.read()
}

// Credential returns what the file has for the subject of t.
func (t *Table) Credential(r *http.Request, token *verify.Token, _ string) (c verify.Credential, err error) {
	ahead := t.due.Load() - t.now().UnixNano() // more than every: the clock was set back
	if (ahead <= 0 || ahead > int64(every)) && t.mu.TryLock() {
		t.refresh()
		t.mu.Unlock()
	}
	c, found := (*t.current.Load())[token.Subject]
	if !found {
		return c, none(errors.New("the file has none for this person"))
	}
	return c, nil
}

// refresh reads the file, and logs a problem that is new.
func (t *Table) refresh() {
	problem := ""
	if err := t.read(); err != nil {
		problem = err.Error()
	}
	if problem != t.problem && problem != "" {
		t.logger.Error("the file of credentials cannot be used; keeping those that were read before", "file", t.path, "error", problem)
	}
	t.problem = problem
}

func (t *Table) read() error {
	t.due.Store(t.now().Add(every).UnixNano())
	content, err := verify.ReadKeyFile(t.path, maxTable)
	if err != nil {
		return err
	}
	if t.current.Load() != nil && bytes.Equal(content, t.content) {
		return nil
	}
	table, err := parseTable(content)
	if err != nil {
		return fmt.Errorf("%s: %w", t.path, err)
	}
	id, read := NewID(), make(people, len(table)) // the id is that of the reading
	for subject, value := range table {
		if value, err = t.form.write(value); err != nil {
			return fmt.Errorf("%s: %w", t.path, err)
		}
		read[subject] = verify.NewCredential(value, id)
	}
	t.content = content
	Record(t.logger, id, nil, from(t.path))
	t.current.Store(&read)
	return nil
}

// The errors show nothing of the file: all of it may be secret.
var (
	errTable = errors.New("it must be a JSON object with a string for each subject")
	errTwice = errors.New("a subject is there twice")
)

// parseTable reads the object, in which no subject is there twice.
func parseTable(content []byte) (map[string]string, error) {
	decoder := json.NewDecoder(bytes.NewReader(content))
	if opening, err := decoder.Token(); err != nil || opening != json.Delim('{') {
		return nil, errTable
	}
	table := make(map[string]string)
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, errTable
		}
		value, err := decoder.Token()
		subject, _ := name.(string)
		text, ok := value.(string)
		if err != nil || !ok || subject == "" || text == "" {
			return nil, errTable
		}
		if table[subject] != "" {
			return nil, errTwice
		}
		table[subject] = text
	}
	if _, err := decoder.Token(); err != nil || decoder.More() {
		return nil, errTable
	}
	return table, nil
}
