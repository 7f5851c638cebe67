package clientauth

// Lines returns how many addresses have requests that run or wait.
func Lines(t *Turns) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.lines)
}

// Waiting returns how many requests wait for a slot.
func Waiting(t *Turns) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting
}
