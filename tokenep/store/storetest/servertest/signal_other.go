//go:build !unix

package servertest

import (
	"os"
	"os/exec"
)

// These systems have no such signals: Pause interrupts the process.
var pause, resume = os.Interrupt, os.Interrupt

func children(int) []int { return nil }

type account struct{}

func unprivileged() *account { return nil }

func (*account) own(string) error { return nil }

func (*account) as(cmd *exec.Cmd) *exec.Cmd { return cmd }
