// Package engine has what several engines of package store share.
//
//	line.go   Line: verbs on a database server that may be down, or hang: a circuit breaker
//	sweep.go  Sweep: deleting what has expired, at an interval
package engine
