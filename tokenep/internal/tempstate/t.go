package state

import "errors"

var ErrChanged = errors.New("x")

const Attempts = 100
