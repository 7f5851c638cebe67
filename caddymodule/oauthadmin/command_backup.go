package oauthadmin

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tokenep/caddy-tokenep/tokenep/store/bolt"
)

func backupCommand() *cobra.Command {
	cmd := leaf("backup <file>", "Copies the store of a running server (bolt)", cmdBackup)
	cmd.Long = `
Copies the store of a running server to a file, or to standard output with -. It
is for the store bolt: redis and postgres have their own means.

The file gets its name when it is complete and has been checked. It replaces a
file of that name only with --force. A command that is killed leaves only a file
whose name ends in .part.

A backup contains the private signing keys, in clear unless encryption_key is
set. Only its owner can read it (mode 0600). Guard it as you guard the keys.

While the backup is taken, a copy of the store is on the disk of the store.

See 'caddy oauth restore --help' for what a backup can and cannot restore.`
	cmd.Example = `  $ caddy oauth backup /var/backups/oauth-$(date +%F).db
  $ caddy oauth backup - | age -r "$RECIPIENT" > oauth.db.age`
	cmd.Flags().Bool("force", false, "Replace a file of that name")
	return cmd
}

func cmdBackup(fl caddycmd.Flags) (int, error) {
	path := fl.Arg(0)
	if path == "-" {
		if term.IsTerminal(int(os.Stdout.Fd())) {
			return failed(errors.New("a backup cannot be written to a terminal: it is binary, and contains the private keys"))
		}
		if err := fetchBackup(fl, os.Stdout); err != nil {
			return failed(err)
		}
		return caddy.ExitCodeSuccess, nil
	}
	if _, err := os.Lstat(path); err == nil && !fl.Bool("force") {
		return failed(fmt.Errorf("%s exists; --force replaces it", path))
	}
	origin, err := saveBackup(fl, path)
	if err != nil {
		return failed(err)
	}
	if fl.Bool("json") {
		return printJSON(origin)
	}
	say("The store of oauth_server %s (%s) of %s is in %s.", origin.Server, origin.Issuer, printTime(origin.Taken), path)
	return caddy.ExitCodeSuccess, nil
}

// saveBackup writes the backup to a file that ends in .part, and renames it when it is on the disk
// and has been checked.
func saveBackup(fl caddycmd.Flags, path string) (origin bolt.Origin, err error) {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part") // mode 0600
	if err != nil {
		return origin, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	err = fetchBackup(fl, file)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return origin, err
	}
	if origin, err = bolt.CheckBackup(file.Name()); err != nil {
		return origin, err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return origin, err
	}
	// The name must be as durable as the file, where a folder can be synced.
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
	return origin, nil
}

// fetchBackup copies the answer of the admin API. It returns an error if that is not complete.
func fetchBackup(fl caddycmd.Flags, into io.Writer) error {
	response, err := requestAdmin(fl, http.MethodGet, []string{"backup"}, nil, nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.ContentLength < 0 {
		return errors.New("the answer of the admin API has no Content-Length")
	}
	n, err := io.Copy(into, response.Body)
	if err == nil && n != response.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("the backup ended after %d of %d bytes: %w", n, response.ContentLength, err)
	}
	return nil
}

func restoreCommand() *cobra.Command {
	cmd := leaf("restore <backup>", "Replaces the store of a server by a backup (bolt)", cmdRestore)
	cmd.Long = `
Replaces the store of a server by a backup. Stop Caddy first: the command fails
while a process has the store open. Run it as the user that Caddy runs as.

The store is found by the configuration, as 'caddy run' finds it: by --config, or
the Caddyfile in this directory. Without either it is the default file of the
server. --path names the file instead.

The backup is checked. It must be of this server, by name and issuer, unless
--force is given. The old file is kept beside the new one, and stays in place
until the end: a restore that fails or is killed changes nothing.

WHAT IT MEANS. Everything since the backup is undone:

- API tokens and clients that were revoked or removed since are valid again, and
  those that were created since are gone. Revoke and remove them again:
  'caddy oauth api-token revoke', 'caddy oauth client remove'.
- Access tokens that were revoked since are valid again until they expire. To
  revoke all tokens, 'caddy oauth key withdraw' each key of 'caddy oauth key list'.
- Signing keys that were generated since are gone, and the tokens that they signed
  are refused; clients get new ones. A single rotation loses nothing: the key that
  took over existed before. Keys that were withdrawn since are back: withdraw
  them again.
- A sign-in since is gone. Of an older sign-in the newest refresh token is accepted,
  unless the sign-in had expired without the uses since. A refresh token that was
  spent since works again, until two programs use tokens of the same sign-in: then
  the sign-in ends. A sign-in that was revoked since is valid again.
- Codes and ids that were used since can be used once more while they live, which
  is some minutes.
- The encryption key of that time is needed. Add it as a second encryption_key.`
	cmd.Example = `  $ sudo systemctl stop caddy
  $ sudo -u caddy caddy oauth restore --config /etc/caddy/Caddyfile /var/backups/oauth-2030-01-31.db
  $ sudo systemctl start caddy`
	flags := cmd.Flags()
	flags.String("path", "", "The file of the store (default: as the configuration says)")
	flags.Bool("force", false, "Accept the backup of another server")
	return cmd
}

// restored is the result of the command, as JSON.
type restored struct {
	Path   string      `json:"path"`
	Kept   string      `json:"kept,omitempty"` // the old file
	Backup bolt.Origin `json:"backup"`
}

func cmdRestore(fl caddycmd.Flags) (int, error) {
	path, issuer, err := findStore(fl)
	if err != nil {
		return failed(err)
	}
	done, wanted := restored{Path: path}, fl.String("server")
	if issuer != "" {
		wanted += " (" + issuer + ")"
	}
	done.Kept, err = bolt.Restore(fl.Arg(0), path, time.Now(), func(o bolt.Origin) error {
		done.Backup = o
		if fl.Bool("force") || o.Server == fl.String("server") && (issuer == "" || o.Issuer == issuer) {
			return nil
		}
		return fmt.Errorf("the backup is of oauth_server %s (%s), not of %s; --force restores it anyway", o.Server, o.Issuer, wanted)
	})
	if err != nil {
		return failed(err)
	}
	if fl.Bool("json") {
		return printJSON(done)
	}
	say("%s is restored as of %s, from a backup of oauth_server %s (%s).", path, printTime(done.Backup.Taken), done.Backup.Server, done.Backup.Issuer)
	if done.Kept != "" {
		say("The old file is kept: %s", done.Kept)
	} else {
		say("There was no file before. Is this where the server has its store?")
	}
	say("What was revoked since then is valid again; see caddy oauth restore --help.")
	return caddy.ExitCodeSuccess, nil
}
