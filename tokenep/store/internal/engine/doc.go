// Package engine is what engines of package store have in common.
//
//	line.go   Line: the way to a server that may be away, or say nothing
//	sweep.go  Sweep: deleting what has expired, at an interval
package engine
