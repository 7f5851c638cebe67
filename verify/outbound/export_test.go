package outbound

// MaxAsking is how many questions there are at a time.
const MaxAsking = maxAsking

// Len returns how many values and errors are remembered.
func (m *Memory[V]) Len() (values, errs int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.good.entries), len(m.bad.entries)
}

// Questions returns how many are asked or waited for.
func (m *Memory[V]) Questions() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.questions)
}
