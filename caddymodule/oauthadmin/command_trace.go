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
)

func traceCommand() *cobra.Command {
	cmd := leaf("trace <id>", "Finds what a log says of a token, and of what it came of", cmdTrace)
	cmd.Long = `
Reads logs of Caddy in its JSON format, and prints the lines that have to do with an
access token (jti), an API token or an authorization (grant_id): how it came to be,
from the person on; what came of it; and, where the access log has the jti, the
requests that were made with it. Give rotated files in their order; those that are
compressed by gzip are read as well.

It needs no Caddy. With --json the lines are printed as they are.`
	cmd.Example = `  $ caddy oauth trace 4oK2iTqQ0Zl7 --log /var/log/caddy/caddy.log
  $ caddy oauth trace cbhzAQYGkBhSwku_XfJkMQ --log caddy-1.log --log caddy.log --json`
	cmd.Flags().StringArray("log", nil, "Log file, in Caddy's JSON format (repeatable)")
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

	Grant    string `json:"grant"`
	Client   string `json:"client"`
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

// String returns it as RFC 3339, or as the log has it.
func (t logTime) String() string {
	if t.text != "" {
		return t.text
	}
	seconds, fraction := math.Modf(t.seconds)
	return time.Unix(int64(seconds), int64(fraction*1e9)).UTC().Format("2006-01-02T15:04:05.000Z")
}

// own returns what the line is about: a token, else an API token, else an authorization.
func (l *tracedLine) own() string {
	for _, id := range []string{l.JTI, l.ID, l.GrantID} {
		if id != "" {
			return id
		}
	}
	return ""
}

func (l *tracedLine) origins() []string { return append([]string{l.GrantID}, l.Ancestors...) }

func cmdTrace(fl caddycmd.Flags) (int, error) {
	files, err := fl.GetStringArray("log")
	if err != nil {
		return failed(err)
	}
	if len(files) == 0 {
		return failed(misuse("--log is required: the file with Caddy's log, in JSON"))
	}
	lines, err := trace(fl.Arg(0), files)
	if err != nil {
		return failed(err)
	}
	if len(lines) == 0 {
		return failed(fmt.Errorf("no line of the log is about %q; is it the id, and no token?", fl.Arg(0)))
	}
	if fl.Bool("json") {
		for _, l := range lines {
			printLine(l.text)
		}
		return caddy.ExitCodeSuccess, nil
	}
	slices.SortStableFunc(lines, func(a, b tracedLine) int { return cmp.Compare(a.Time.seconds, b.Time.seconds) })
	rows := [][]string{{"TIME", "WHAT", "ID", "WHO", "HOW"}}
	for i := range lines {
		rows = append(rows, lines[i].row())
	}
	printTable(rows)
	return caddy.ExitCodeSuccess, nil
}

// trace returns the lines about an id, about what it came of, and about what came of that id alone:
// not about its siblings. It reads the files until a pass finds no other id, which is as often as
// tokens were exchanged, and keeps no more of them than it returns.
func trace(id string, files []string) (found []tracedLine, err error) {
	above, below := map[string]bool{id: true}, map[string]bool{id: true}
	for known := 0; known != len(above)+len(below); {
		known = len(above) + len(below)
		found = nil
		err := eachLine(files, func(l *tracedLine) {
			own := l.own()
			descends := below[own]
			for _, origin := range l.origins() {
				descends = descends || below[origin]
			}
			switch {
			case own == "":
				return
			case descends:
				below[own] = true
			case !above[own]:
				return
			}
			if above[own] {
				for _, origin := range l.origins() {
					above[origin] = origin != ""
				}
			}
			found = append(found, *l)
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
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

// maxLogLine is the length in bytes of the longest line that is read.
const maxLogLine = 1 << 20

// eachLine calls do for each line that is JSON and has one of the members that are followed.
func eachLine(files []string, do func(*tracedLine)) error {
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
			if !bytes.Contains(text, []byte(`"jti":`)) && !bytes.Contains(text, []byte(`"id":`)) && !bytes.Contains(text, []byte(`"grant_id":`)) {
				continue
			}
			var l tracedLine
			if json.Unmarshal(text, &l) == nil {
				l.text = strings.TrimRight(string(text), "\r\n")
				do(&l)
			}
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
	for _, part := range []string{tokenep.GrantName(l.Grant), l.Scope, l.Method, l.Path, l.Request.Method, l.Request.URI, l.Upstream, l.Reason, l.Address + l.Request.Address} {
		if part != "" {
			how = append(how, printText(part))
		}
	}
	if l.Status != 0 {
		how = append(how, strconv.Itoa(l.Status))
	}
	return []string{l.Time.String(), printText(l.Message), printText(l.own()), strings.Join(who, " "), strings.Join(how, " ")}
}
