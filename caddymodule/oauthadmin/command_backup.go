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
Copies the store of a server to a file, or to standard output with -, while the
server goes on. It is for the store bolt: redis and postgres have their own means.

The file is complete or not there: it gets its name once it has been checked. A
file of that name is not replaced unless --force says so. Whoever is killed in
the middle leaves a file that ends in .part, and nothing else.

A backup holds what the store holds: the private signing keys, in clear unless
encryption_key is set. The file is for its owner alone (mode 0600); guard it as
you would the keys.

While it is made, the copy takes as much room again on the disk of the store.

See 'caddy oauth restore --help' for what a backup is good for, and what not.`
	cmd.Example = `  $ caddy oauth backup /var/backups/oauth-$(date +%F).db
  $ caddy oauth backup - | age -r "$RECIPIENT" > oauth.db.age`
	cmd.Flags().Bool("force", false, "Replace the file if there is one")
	return cmd
}

func cmdBackup(fl caddycmd.Flags) (int, error) {
	path := fl.Arg(0)
	if path == "-" {
		if term.IsTerminal(int(os.Stdout.Fd())) {
			return failed(errors.New("a backup is not written to a terminal: it is no text, and has the private keys"))
		}
		if err := fetchBackup(fl, os.Stdout); err != nil {
			return failed(err)
		}
		return caddy.ExitCodeSuccess, nil
	}
	if _, err := os.Lstat(path); err == nil && !fl.Bool("force") {
		return failed(fmt.Errorf("%s is there already; --force replaces it", path))
	}
	origin, err := saveBackup(fl, path)
	if err != nil {
		return failed(err)
	}
	if fl.Bool("json") {
		return printJSON(origin)
	}
	say("The store of oauth_server %s (%s) as of %s is in %s.", origin.Server, origin.Issuer, printTime(origin.Taken), path)
	return caddy.ExitCodeSuccess, nil
}

// saveBackup writes the backup under a name that nobody takes for it, and gives it its own when it is on the disk and good.
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
	if dir, err := os.Open(filepath.Dir(path)); err == nil { // the name is to be as durable as the file, where that can be had
		_ = dir.Sync()
		_ = dir.Close()
	}
	return origin, nil
}

// fetchBackup copies the answer of the admin API, all of it or an error.
func fetchBackup(fl caddycmd.Flags, into io.Writer) error {
	response, err := requestAdmin(fl, http.MethodGet, []string{"backup"}, nil, nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.ContentLength < 0 {
		return errors.New("the answer of the admin API does not say how long the backup is")
	}
	n, err := io.Copy(into, response.Body)
	if err == nil && n != response.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("the backup is broken off after %d of %d bytes: %w", n, response.ContentLength, err)
	}
	return nil
}

func restoreCommand() *cobra.Command {
	cmd := leaf("restore <backup>", "Puts a backup in the place of a server's store (bolt)", cmdRestore)
	cmd.Long = `
Puts a backup in the place of the store of a server. Stop Caddy first: it is
refused while a process has the store open. Run it as the user Caddy runs as.

The store is found by the configuration, as 'caddy run' finds that: --config,
or the Caddyfile in this directory, or else where a server without 'store' has
it. Or it is given: --path.

The backup is checked, and has to be one of this server, by name and issuer;
--force takes another's. The file that was there is kept beside the new one, and
stays in place to the last: a restore that fails, or is killed, changes nothing.

WHAT IT MEANS. All that was done since the backup is undone:

- API tokens and clients that were revoked or removed since are good again, and
  those made since are gone. Do that again: 'caddy oauth api-token revoke',
  'caddy oauth client remove'.
- Access tokens that were revoked since are good again until they expire. To end
  all at once, 'caddy oauth key withdraw' each key of 'caddy oauth key list'.
- Signing keys made since are gone, and the tokens they signed are refused; clients
  get new ones. One rotation is no loss: the key that took over had been
  made before. Keys that were withdrawn since are back: withdraw them again.
- A sign-in since is gone. Of an older one the newest refresh token is taken, unless
  the sign-in would have ended had it not been used since. A token that was spent
  since works again, until it turns out that two have tokens of one sign-in: then
  it ends. A sign-in that was revoked since is good again.
- Codes and ids that were used up since can be used once more, as long as they
  live: some minutes.
- The encryption key of that time is needed; give it as a second one.`
	cmd.Example = `  $ sudo systemctl stop caddy
  $ sudo -u caddy caddy oauth restore --config /etc/caddy/Caddyfile /var/backups/oauth-2030-01-31.db
  $ sudo systemctl start caddy`
	flags := cmd.Flags()
	flags.String("path", "", "The file of the store (if it is not to be found by a configuration)")
	flags.Bool("force", false, "Take the backup of another server")
	return cmd
}

// restored is the answer of the command.
type restored struct {
	Path   string      `json:"path"`
	Kept   string      `json:"kept,omitempty"` // where the file is that was there
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
		return fmt.Errorf("the backup is of oauth_server %s (%s), not of %s; --force restores it nevertheless", o.Server, o.Issuer, wanted)
	})
	if err != nil {
		return failed(err)
	}
	if fl.Bool("json") {
		return printJSON(done)
	}
	say("%s is as it was at %s, when oauth_server %s (%s) was backed up.", path, printTime(done.Backup.Taken), done.Backup.Server, done.Backup.Issuer)
	if done.Kept != "" {
		say("The file that was there is kept: %s", done.Kept)
	} else {
		say("There was no file before: is this where the server has its store?")
	}
	say("What was revoked since then is good again; see caddy oauth restore --help.")
	return caddy.ExitCodeSuccess, nil
}
