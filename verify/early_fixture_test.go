package verify_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// talk is a connection of HTTP/1 on which a test decides what is sent, and when. Its deadline only
// ends a test that fails.
type talk struct {
	testing.TB
	net.Conn
	in *bufio.Reader
}

func newTalk(tb testing.TB, server *httptest.Server) *talk {
	tb.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	if server.TLS != nil {
		config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		config.ServerName, config.NextProtos = "example.com", []string{"http/1.1"}
		conn = tls.Client(conn, config)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		tb.Fatal(err)
	}
	return &talk{tb, conn, bufio.NewReader(conn)}
}

// send sends text with CR LF for each line feed.
func (c *talk) send(text string) {
	c.Helper()
	if _, err := io.WriteString(c, strings.ReplaceAll(text, "\n", "\r\n")); err != nil {
		c.Fatal(err)
	}
}

// stays fails the test unless the next answer has this status and keeps the connection.
func (c *talk) stays(status int) answer {
	c.Helper()
	a := readAnswer(c, c.in)
	if a.StatusCode != status || a.Close {
		c.Fatalf("status %d, connection closes: %v; want %d on a connection that stays; %q", a.StatusCode, a.Close, status, a.body)
	}
	return a
}

// ends fails the test unless the next answer has this status, says that it is the last one, and is
// followed by the end of the connection, not by a reset.
func (c *talk) ends(status int) answer {
	c.Helper()
	a := readAnswer(c, c.in)
	if a.StatusCode != status || !a.Close {
		c.Fatalf("status %d, connection closes: %v; want %d and the end of the connection; %q", a.StatusCode, a.Close, status, a.body)
	}
	if b, err := c.in.ReadByte(); !errors.Is(err, io.EOF) {
		c.Fatalf("after the answer: %q, %v; want the end of the connection", b, err)
	}
	return a
}
