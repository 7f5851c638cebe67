// Package htpasswd is people in a file of the kind that Apache's htpasswd -B makes: a line for
// each, with the name, a colon and the bcrypt hash of the password.
//
//	file.go   the file, which is read again while it is in use
//	parse.go  its lines
package htpasswd
