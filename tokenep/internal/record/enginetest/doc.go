// Package enginetest runs the tests of what is kept in a store over every engine.
//
//	enginetest.go  the engines, and how a test asks for one
package enginetest
