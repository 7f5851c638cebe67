package tokeneptest

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Conversation is a connection of HTTP/1.1 to a server, on which anything can be sent.
type Conversation struct {
	t  testing.TB
	in *bufio.Reader
}

// Converse connects to the server at url, and sends text with CR LF for each line feed. The
// connection ends with the test, or after 20 seconds, so that a test which waits for an answer in
// vain fails.
func Converse(t testing.TB, url, text string) *Conversation {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, strings.ReplaceAll(text, "\n", "\r\n")); err != nil {
		t.Fatal(err)
	}
	return &Conversation{t, bufio.NewReader(conn)}
}

// Answer reads the next answer, and fails the test unless it has this status and keeps the
// connection.
func (c *Conversation) Answer(status int) Answer {
	c.t.Helper()
	return c.read(status, false)
}

// LastAnswer reads the next answer, and fails the test unless it has this status, says that it is
// the last one, and is followed by the end of the connection, not by a reset.
func (c *Conversation) LastAnswer(status int) Answer {
	c.t.Helper()
	a := c.read(status, true)
	if b, err := c.in.ReadByte(); !errors.Is(err, io.EOF) {
		c.t.Fatalf("after the answer: %q, %v; want the end of the connection", b, err)
	}
	return a
}

func (c *Conversation) read(status int, last bool) Answer {
	c.t.Helper()
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer r.Body.Close()
	a, err := readAnswer(r)
	if err != nil || a.Status != status || r.Close != last {
		c.t.Fatalf("status %d, the last answer: %v; want %d, %v; %s %v", a.Status, r.Close, status, last, a.Body, err)
	}
	return a
}
