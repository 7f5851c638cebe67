package oauthadmin

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep/store/bolt"
	"github.com/tokenep/caddy-tokenep/verify"
)

const (
	// backupCopy is how long copying the file may take, which is minutes on a slow disk.
	backupCopy = 10 * time.Minute

	// backupStall is how long the reader of a backup may stop reading before the backup ends. Until
	// then the copy takes space on the disk.
	backupStall = time.Minute
)

// backingUp is held while a copy is on the disk. Several could fill it.
var backingUp sync.Mutex

// backup is an answer that is not JSON: a copy of the store of a server.
type backup struct {
	server *oauthserver.AuthorizationServer
	store  *bolt.Store
}

// takeBackup answers with a copy of the store, which must be bolt.
func takeBackup(r *request) (any, error) {
	engine, err := r.server.Engine()
	if err != nil {
		return nil, err
	}
	file, ok := engine.(*bolt.Store)
	if !ok {
		return nil, refuse(http.StatusConflict, "%s", otherBackup(r.server.StoreName()))
	}
	return &backup{r.server, file}, nil
}

// otherBackup returns how to back up a store that is not bolt.
func otherBackup(name string) string {
	switch name {
	case "memory":
		return "the store memory has no backup: it ends with the process"
	case "redis":
		return "back up the store redis with the snapshots of Redis (BGSAVE)"
	case "postgres":
		return "back up the store postgres with pg_dump, or archive its write-ahead log"
	default:
		return "back up the store " + name + " by its own means; this command is for bolt"
	}
}

// send copies the store, and writes the copy. The length is in the header, so that the reader
// notices if the copy is not complete.
func (b *backup) send(w http.ResponseWriter, r *http.Request) error {
	if !backingUp.TryLock() {
		return refuse(http.StatusConflict, "another backup is being taken")
	}
	defer backingUp.Unlock()
	// Caddy's admin API cancels the context of a request after ten seconds, as if the client had
	// left.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), backupCopy)
	defer cancel()
	config := &b.server.Server().Config
	copied, err := b.store.Backup(ctx, b.server.Name(), config.Issuer)
	if err != nil {
		return err
	}
	defer func() { _ = copied.Close() }()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(copied.Size, 10))
	size, err := io.Copy(patient{w, http.NewResponseController(w)}, copied)
	if err != nil {
		config.Logger.LogAttrs(ctx, slog.LevelError, "backup not completed", slog.Int64("bytes", size), slog.String("reason", verify.OneLine(err.Error())))
		return nil // the status is sent; the reader sees that the length is not reached
	}
	config.Logger.LogAttrs(ctx, slog.LevelInfo, "backup sent", slog.Int64("bytes", size))
	return nil
}

// patient is a writer that limits the time of each write, and not that of all of them.
type patient struct {
	io.Writer
	connection *http.ResponseController
}

func (p patient) Write(b []byte) (int, error) {
	_ = p.connection.SetWriteDeadline(time.Now().Add(backupStall))
	return p.Writer.Write(b)
}
