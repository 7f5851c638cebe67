package oauthadmin

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/upstream"
)

func traceCommand() *cobra.Command {
	cmd := leaf("trace <id>", "Finds what a log says of a token, and of what it came of", cmdTrace)
	cmd.Long = `
Reads logs of Caddy in its JSON format, and prints the lines that have to do with an
access token (jti), an API token, an authorization (grant_id) or what an upstream got
in the place of a token (upstream_credential): how it came to be, from the person on;
what came of it; and, where the access log has the jti, the requests that were made
with it. Give rotated files in their order; those that are compressed by gzip are read
as well.

It needs no Caddy. With --json the lines are printed as they are.`
	cmd.Example = `  $ caddy oauth trace 4oK2iTqQ0Zl7 --log /var/log/caddy/caddy.log
  $ caddy oauth trace cbhzAQYGkBhSwku_XfJkMQ --log caddy-1.log --log caddy.log --json`
	cmd.Flags().StringArray("log", nil, "Log file, in Caddy's JSON format (repeatable; required)")
	require(cmd, "log")
	return cmd
}

// tracedLine is what of a line of the log is followed and shown.
type tracedLine struct {
	Time      logTime  `json:"ts"`
	Message   string   `json:"msg"`
	JTI       string   `json:"jti"`
	ID        string   `json:"id"` // of an API token, or a session
	GrantID   string   `json:"grant_id"`
	Ancestors []string `json:"ancestors"`

	Credential    string `json:"upstream_credential"` // that was obtained, or used by a request
	Authorization string `json:"authorization"`       // how it was obtained
	From          string `json:"from"`

	Grant    string `json:"grant"`
	Client   string `json:"client"`
	Policy   string `json:"policy"`
	Subject  string `json:"sub"`
	Owner    string `json:"owner"`
	User     string `json:"user_id"` // in the access log
	Scope    string `json:"scope"`
	Address  string `json:"client_ip"`
	Reason   string `json:"reason"`
	Status   int    `json:"status"`
	Method   string `json:"method"`
	Path     string `json:"path"`
	Upstream string `json:"upstream"`
	Request  struct {
		Address string `json:"client_ip"`
		Method  string `json:"method"`
		URI     string `json:"uri"`
	} `json:"request"`

	text string
}

// logTime is the time of a line, in whatever form the log has it: seconds since 1970, or a text.
type logTime struct {
	seconds float64
	text    string
}

// UnmarshalJSON reads it.
func (t *logTime) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &t.seconds) == nil {
		return nil
	}
	err := json.Unmarshal(data, &t.text)
	if at, failed := time.Parse(time.RFC3339Nano, t.text); failed == nil {
		t.seconds, t.text = float64(at.UnixNano())/1e9, ""
	}
	return err
}

// String returns it as RFC 3339, or as the log has it; empty: the line has none.
func (t logTime) String() string {
	if t.text != "" || t.seconds == 0 {
		return t.text
	}
	seconds, fraction := math.Modf(t.seconds)
	return time.Unix(int64(seconds), int64(fraction*1e9)).UTC().Format("2006-01-02T15:04:05.000Z")
}

// obtained reports whether the line says where a credential for an upstream is from.
func (l *tracedLine) obtained() bool { return l.Message == upstream.Obtained }

// own returns what the line is about: a credential that was obtained, else a token, else an API
// token, else an authorization, else the credential of a request.
func (l *tracedLine) own() string {
	if l.obtained() {
		return l.Credential
	}
	return cmp.Or(l.JTI, l.ID, l.GrantID, l.Credential)
}

// origins returns what it came of.
func (l *tracedLine) origins() []string {
	if l.obtained() {
		return []string{l.JTI, l.GrantID}
	}
	return append([]string{l.GrantID}, l.Ancestors...)
}

func cmdTrace(fl caddycmd.Flags) (int, error) {
	files, err := fl.GetStringArray("log")
	if err != nil {
		return failed(err)
	}
	lines, err := trace(fl.Arg(0), files)
	if err != nil {
		return failed(err)
	}
	if len(lines) == 0 {
		return failed(whyNothing(fl.Arg(0), files))
	}
	if fl.Bool("json") {
		for _, l := range lines {
			if code, err := printLine(l.text); err != nil {
				return code, err
			}
		}
		return caddy.ExitCodeSuccess, nil
	}
	slices.SortStableFunc(lines, func(a, b tracedLine) int { return cmp.Compare(a.Time.seconds, b.Time.seconds) })
	rows := [][]string{{"TIME", "WHAT", "ID", "WHO", "HOW"}}
	for i := range lines {
		rows = append(rows, lines[i].row())
	}
	return printTable(rows)
}

// trace returns the lines about an id, about what it came of, and about what came of that id alone:
// not about its siblings. Of the credentials of its requests it says where they are from, and no
// more: one may be that of many tokens. It reads the files until a pass finds no other id, which is
// as often as tokens were exchanged, and keeps no more of them than it returns.
func trace(id string, files []string) (found []tracedLine, err error) {
	f := followedIDs{id: id, above: map[string]bool{id: true}, below: map[string]bool{id: true}, used: make(map[string]bool)}
	for known := 0; known != f.count(); {
		known = f.count()
		found = nil
		err := eachLine(files, func(text []byte) {
			var l tracedLine
			if links(text) && json.Unmarshal(text, &l) == nil && f.follow(&l) {
				l.text = strings.TrimRight(string(text), "\r\n")
				found = append(found, l)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// followedIDs are those that a trace has come upon.
type followedIDs struct {
	id    string
	above map[string]bool // what it came of, and itself
	below map[string]bool // what came of it, and itself
	used  map[string]bool // the credentials of requests
}

func (f *followedIDs) count() int { return len(f.above) + len(f.below) + len(f.used) }

// follow reports whether the line belongs to the trace, and notes the ids that it leads to.
func (f *followedIDs) follow(l *tracedLine) bool {
	own := l.own()
	descends := f.below[own] || slices.ContainsFunc(l.origins(), func(origin string) bool { return f.below[origin] })
	switch {
	case own == "":
		return false
	case descends:
		f.below[own] = true
	case !f.above[own] && l.Credential != f.id && !(l.obtained() && f.used[own]):
		return false
	}
	if l.Credential != "" && !l.obtained() {
		f.used[l.Credential] = true
	}
	if f.above[own] {
		for _, origin := range l.origins() {
			if origin != "" {
				f.above[origin] = true
			}
		}
	}
	return true
}

// uncompressed returns what is in a log file: Caddy compresses those that it has rotated.
func uncompressed(file io.Reader) (*bufio.Reader, error) {
	content := bufio.NewReaderSize(file, maxLogLine)
	magic, _ := content.Peek(4)
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}): // RFC 1952 §2.3.1
		plain, err := gzip.NewReader(content)
		if err != nil {
			return nil, err
		}
		return bufio.NewReaderSize(plain, maxLogLine), nil
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}): // RFC 8878 §3.1.1
		return nil, errors.New("it is compressed by zstd: uncompress it first")
	}
	return content, nil
}

// linking are the members of lines by which they are linked.
var linking = [][]byte{[]byte(`"jti":`), []byte(`"id":`), []byte(`"grant_id":`), []byte(`"upstream_credential":`)}

func links(line []byte) bool {
	return slices.ContainsFunc(linking, func(member []byte) bool { return bytes.Contains(line, member) })
}

// whyNothing returns why there is nothing about an id in a log, which may have another format.
func whyNothing(id string, files []string) error {
	objects, linked := 0, 0
	err := eachLine(files, func(text []byte) {
		var line struct{}
		if json.Unmarshal(text, &line) == nil {
			objects++
			if links(text) {
				linked++
			}
		}
	})
	switch {
	case err != nil:
		return err
	case objects == 0:
		return errors.New("no line of the log is JSON: it must be Caddy's log, as format json writes it")
	case linked == 0:
		return errors.New("no line of the log has a jti, id, grant_id or upstream_credential: " +
			"it is not the log of the oauth_server, or its format leaves them out or renames them")
	}
	return fmt.Errorf("no line of the log is about %q; is it the id, and no token?", id)
}

// maxLogLine is the length in bytes of the longest line that is read.
const maxLogLine = 1 << 20

// eachLine calls do for each line of some files.
func eachLine(files []string, do func([]byte)) error {
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			return misuse("--log: %w", err)
		}
		content, err := uncompressed(file)
		for err == nil {
			var text []byte
			if text, err = content.ReadSlice('\n'); errors.Is(err, bufio.ErrBufferFull) {
				say("--log %s: a line of more than %d bytes is left out.", name, maxLogLine)
				for errors.Is(err, bufio.ErrBufferFull) {
					_, err = content.ReadSlice('\n')
				}
				continue
			}
			do(text)
		}
		_ = file.Close()
		if !errors.Is(err, io.EOF) {
			return fmt.Errorf("--log %s: %w", name, err)
		}
	}
	return nil
}

// row is the line in the columns of a table.
func (l *tracedLine) row() []string {
	var who, how []string
	for _, person := range []string{l.Subject, l.Owner, l.User} {
		if person != "" {
			who = append(who, printText(person))
		}
	}
	if l.Client != "" && l.Subject != "client:"+l.Client {
		who = append(who, "by "+printText(l.Client))
	}
	if l.Policy != "" {
		how = append(how, "policy", printText(l.Policy))
	}
	for _, part := range []string{tokenep.GrantName(l.Grant), l.Scope, l.Method, l.Path, l.Request.Method, l.Request.URI, l.Upstream, l.Reason,
		l.Address + l.Request.Address, l.Authorization, l.From} {
		if part != "" {
			how = append(how, printText(part))
		}
	}
	if l.Status != 0 {
		how = append(how, strconv.Itoa(l.Status))
	}
	if l.Credential != "" && !l.obtained() {
		how = append(how, "with "+printText(l.Credential))
	}
	return []string{l.Time.String(), printText(l.Message), printText(l.own()), strings.Join(who, " "), strings.Join(how, " ")}
}
