package engine

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		swept := 0
		done := make(chan struct{})
		go func() {
			Sweep(ctx, 0, slog.New(slog.NewTextHandler(&log, nil)), func(context.Context) (int, error) {
				swept++
				if swept == 2 {
					return 0, errors.New("the disk is full")
				}
				return 1, nil
			})
			close(done)
		}()
		time.Sleep(5*time.Minute + time.Second)
		synctest.Wait()
		if swept != 5 || strings.Count(log.String(), "the disk is full") != 1 {
			t.Errorf("swept %d times in five minutes, want 5; logged %q", swept, log.String())
		}
		cancel()
		<-done
		Sweep(t.Context(), -1, slog.Default(), nil) // never
	})
}
