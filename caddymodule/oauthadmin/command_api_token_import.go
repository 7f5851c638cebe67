package oauthadmin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func apiTokenImportCommand() *cobra.Command {
	cmd := leaf("import", "Imports API tokens that another system has handed out", cmdAPITokenImport)
	cmd.Long = `
Reads API tokens that another system has handed out, as lines of JSON, from
standard input or --file, so that their holders can go on using them: they
exchange them as they are. A line is an object with these members:

  owner, service   required, as for create
  hash             sha256:<digest> or sha512:<digest> of the whole token, in
                   hexadecimal or base64, or a hash by bcrypt (cost 14 at most)
                   or argon2id (64 MiB, 10 passes and 16 threads at most)
  token            the token itself, in place of hash; only its hash is kept
  id               for bcrypt and argon2id: the part of the token by which it is
                   found; token_pattern in the configuration says where it stands
  token_type       the subject_token_type of its exchange (default: any)
  name, note, scope, not_before, expires, expires_in, no_expiry, allow_from,
  deny_from, rate, quota
                   as for create; without an expiry, as late as the server allows

A line that makes no sense is reported with its number, and the others are
imported. What was imported before is left alone: after an interruption, run it
again.`
	cmd.Example = `  $ echo '{"owner":"ada","service":"https://api.example.com/orders","hash":"sha256:ba78…15ad"}' |
        caddy oauth api-token import
  $ caddy oauth api-token import --file tokens.jsonl`
	cmd.Flags().String("file", "", "The file (default: standard input)")
	return cmd
}

// What is sent to the server at once, and the longest line.
const (
	maxImportBytes = 32 << 10
	maxImportLine  = 16 << 10
)

// importBatch is some lines, with their numbers in the file.
type importBatch struct {
	request importRequest
	numbers []int
	bytes   int
}

func cmdAPITokenImport(fl caddycmd.Flags) (int, error) {
	var from io.Reader = os.Stdin
	if name := fl.String("file"); name != "" {
		file, err := os.Open(name)
		if err != nil {
			return failed(misuse("--file: %w", err))
		}
		defer func() { _ = file.Close() }()
		from = file
	}
	var total importAnswer
	send := func(b *importBatch) error {
		if len(b.numbers) == 0 {
			return nil
		}
		var answer importAnswer
		if err := callAdmin(fl, http.MethodPost, []string{"api_tokens", "import"}, nil, b.request, &answer); err != nil {
			return fmt.Errorf("from line %d on: %w; run it again, it goes on there", b.numbers[0], err)
		}
		total.Imported += answer.Imported
		total.Known += answer.Known
		for _, r := range answer.Refused {
			total.refuse(b.numbers[r.Line-1], r.Reason)
		}
		*b = importBatch{}
		return nil
	}
	err := readLines(from, &total, send)
	say("API tokens imported: %d. There before: %d. Lines refused: %d.", total.Imported, total.Known, total.refused)
	switch {
	case err != nil:
		return failed(err)
	case total.refused > 0:
		return failed(errors.New("some lines are refused"))
	}
	return caddy.ExitCodeSuccess, nil
}

// refuse reports a line.
func (a *importAnswer) refuse(number int, reason string) {
	a.refused++
	say("line %d: %s", number, reason)
}

// readLines reads lines, and sends them in batches.
func readLines(from io.Reader, total *importAnswer, send func(*importBatch) error) error {
	var batch importBatch
	lines := bufio.NewReaderSize(from, maxImportLine)
	for number := 1; ; number++ {
		line, err := lines.ReadSlice('\n')
		tooLong := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = lines.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		text := bytes.TrimSpace(line)
		switch {
		case tooLong:
			total.refuse(number, fmt.Sprintf("it is longer than %d bytes", maxImportLine))
		case len(text) == 0:
		case !json.Valid(text):
			total.refuse(number, "it is not JSON")
		default:
			if len(batch.numbers) == maxImportLines || batch.bytes+len(text) > maxImportBytes {
				if err := send(&batch); err != nil {
					return err
				}
			}
			batch.request.Lines = append(batch.request.Lines, bytes.Clone(text))
			batch.numbers = append(batch.numbers, number)
			batch.bytes += len(text)
		}
		if err != nil {
			return send(&batch)
		}
	}
}
