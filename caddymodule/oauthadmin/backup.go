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
)

const (
	// backupCopy is how long the copy of a file may take that is sent then: minutes for a disk that is slow.
	backupCopy = 10 * time.Minute

	// backupStall is how long whoever gets a backup may take none of it before it ends, as a copy takes room on the disk.
	backupStall = time.Minute
)

// backingUp is held while a copy is on the disk: several could fill it.
var backingUp sync.Mutex

// backup is an answer that is not JSON: a copy of the store of a server.
type backup struct {
	server *oauthserver.AuthorizationServer
	store  *bolt.Store
}

// takeBackup answers with a copy of the store, if it is a file of ours.
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

// otherBackup says how the store of that name is backed up, which is not bolt.
func otherBackup(name string) string {
	switch name {
	case "memory":
		return "the store memory ends with the process, and has no backup"
	case "redis":
		return "the store redis is backed up as Redis is: with its own snapshots (BGSAVE)"
	case "postgres":
		return "the store postgres is backed up as PostgreSQL is: with pg_dump, or its archive of the write-ahead log"
	default:
		return "the store " + name + " is backed up by its own means; this is for bolt"
	}
}

// send copies the store and writes the copy. The length goes before it, so that a copy that is broken off is seen to be.
func (b *backup) send(w http.ResponseWriter, r *http.Request) error {
	if !backingUp.TryLock() {
		return refuse(http.StatusConflict, "another backup is being taken")
	}
	defer backingUp.Unlock()
	// The server of the admin API ends the context of a request after ten seconds, as if the client had gone.
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
		config.Logger.LogAttrs(ctx, slog.LevelError, "backup broken off", slog.Int64("bytes", size), slog.String("reason", err.Error()))
		return nil // the status has been sent: the connection ends before the length is reached, and that says it
	}
	config.Logger.LogAttrs(ctx, slog.LevelInfo, "backup sent", slog.Int64("bytes", size))
	return nil
}

// patient is a writer that gives each write some time, however long all of them take.
type patient struct {
	io.Writer
	connection *http.ResponseController
}

func (p patient) Write(b []byte) (int, error) {
	_ = p.connection.SetWriteDeadline(time.Now().Add(backupStall))
	return p.Writer.Write(b)
}
