package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// enums are the values of the types that the source of the API marks as enumerations, of which its
// JSON schemas are made; by package and name.
type enums struct {
	folder string // of the module k8s.io/api
	read   map[string]bool
	values map[string][]string
}

const api = "k8s.io/api/"

// check returns which values of a document are none of their enumeration.
func (e *enums) check(path string, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return e.check(path, v.Elem())
		}
	case reflect.Struct:
		var errs []error
		for field, value := range v.Fields() {
			if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); field.IsExported() {
				errs = append(errs, e.check(strings.TrimSuffix(path+"."+name, "."), value))
			}
		}
		return errors.Join(errs...)
	case reflect.Slice:
		var errs []error
		for i := range v.Len() {
			errs = append(errs, e.check(fmt.Sprintf("%s[%d]", path, i), v.Index(i)))
		}
		return errors.Join(errs...)
	case reflect.String:
		allowed, err := e.of(v.Type())
		if err != nil {
			return err
		}
		if text := v.String(); text != "" && allowed != nil && !slices.Contains(allowed, text) {
			return fmt.Errorf("%s: %q is none of %q", path, text, allowed)
		}
	}
	return nil
}

// of returns the values of a type; nil: it is no enumeration.
func (e *enums) of(t reflect.Type) ([]string, error) {
	folder, ok := strings.CutPrefix(t.PkgPath(), api)
	if !ok {
		return nil, nil
	}
	if !e.read[t.PkgPath()] {
		if err := e.readPackage(t.PkgPath(), filepath.Join(e.folder, filepath.FromSlash(folder), "types.go")); err != nil {
			return nil, err
		}
	}
	return e.values[t.PkgPath()+"."+t.Name()], nil
}

// readPackage reads the types of a package that have the line +enum, and their constants.
func (e *enums) readPackage(name, path string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		return err
	}
	marked, constants := map[string]bool{}, map[string][]string{}
	for _, declaration := range file.Decls {
		group, ok := declaration.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range group.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				marked[spec.Name.Name] = strings.Contains(group.Doc.Text()+spec.Doc.Text(), "+enum")
			case *ast.ValueSpec:
				of, typed := spec.Type.(*ast.Ident)
				for _, value := range spec.Values {
					if literal, ok := value.(*ast.BasicLit); ok && typed && literal.Kind == token.STRING {
						text, err := strconv.Unquote(literal.Value)
						if err != nil {
							return err
						}
						constants[of.Name] = append(constants[of.Name], text)
					}
				}
			}
		}
	}
	e.read[name] = true
	for of, values := range constants {
		if marked[of] {
			e.values[name+"."+of] = values
		}
	}
	return nil
}
