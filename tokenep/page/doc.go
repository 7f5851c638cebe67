// Package page is the pages that people see: sign in, consent, their access, and what went wrong.
//
// Each is a template of html/template over one type of this package, in the language that the
// browser asks for, with one style and next to no script: nothing needs one. A folder may have
// templates, texts and a style in the place of those here.
//
//	page.go     the set of pages, and how one is shown
//	data.go     what each page says: what a template gets
//	account.go  likewise, of the page on which people see their access
//	names.go    names of templates in a folder that are misspelt
//	text.go     languages
//	brand.go    name, logo and colours of a site
//	templates/  one file for each page, and the frame around them
//	texts/      one file for each language
//
// It knows nothing of requests but their language: what is sent back by a page is read by package
// endpoint.
package page
