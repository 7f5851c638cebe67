// Package bolt is a store.Store in one file on a local disk, over bbolt.
//
// It is the default of a server that runs as one process: it needs no database,
// and what a verb has answered is on the disk. It is not for a network file
// system, and not for two processes: the file is locked, and opening it again
// fails at once. Within a process, open it once and share the Store.
//
//	bolt.go    Open, Close, and the verbs that read: Load, List
//	write.go   the verbs that write: Insert, Swap, Delete
//	commit.go  one transaction, and one fsync, for all who write at the same time
//	place.go   noticing that the file was deleted, moved or replaced
//	view.go    a transaction that reads, and a file that is damaged
//	sweep.go   finding and deleting what has expired
//	layout.go  how records and their expiry lie in the file
//	backup.go  a copy of the file while it is in use
//	restore.go putting one in its place; owner_*.go lets it have the same owner
//
// A write goes from its verb to commit.go, where one goroutine owns the
// writing, and comes back after the fsync; a read goes to the file directly,
// and waits for nobody.
//
// The file does not shrink: pages that become free are used again, and each
// commit writes the list of them, 8 bytes a page, so that opening need not look
// for them. To copy the file, use Backup, or stop the process; to inspect it, use the
// bbolt command on a copy.
package bolt
