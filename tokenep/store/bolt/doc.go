// Package bolt is a store.Store in one file on a local disk, over bbolt.
//
// It is the default for an authorization server that runs as one process: it needs no database, and
// a write is on the disk when its verb returns. It is not for a network file system, nor for two
// processes: the file is locked, and opening it again fails at once. Within a process, open it once
// and share the Store.
//
//	bolt.go    Open, Close, and the verbs that read: Load, List
//	open.go    making a file, or opening one that is sound; Check
//	pages.go   whether the pages of a file are sound
//	write.go   the verbs that write: Insert, Swap, Delete
//	commit.go  one transaction, and one fsync, for all writes of a moment
//	place.go   how a file that was deleted, moved or replaced is noticed
//	view.go    a transaction that reads, and errors of a damaged file
//	sweep.go   finding and deleting what has expired
//	layout.go  how records and their expiry lie in the file
//	backup.go  a copy of the file while it is in use
//	access_*.go whether a file can be made in a folder
//	restore.go replacing the file with such a copy; owner_*.go keeps its owner
//
// A write goes from its verb to commit.go, where one goroutine does all writing, and returns after
// the fsync. A read goes directly to the file, and waits for no write.
//
// The file does not shrink: free pages are reused, and each commit writes the list of them, 8 bytes
// a page, so that opening the file need not search for them. To copy the file, use Backup, or stop
// the process; to inspect it, use the bbolt command on a copy.
package bolt
