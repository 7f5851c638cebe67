// Package directory asks an LDAP directory who a person is (RFC 4511): it searches for the one
// entry with the name, and binds as that entry with the password. Another search may say in which
// groups the person is.
//
//	options.go     what is asked
//	directory.go   signing in, and whether a person still is there
//	connection.go  one connection for each question, with an end in time and in size
//	pace.go        an unknown name takes as long as a wrong password
package directory
