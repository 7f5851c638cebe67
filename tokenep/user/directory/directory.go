package directory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// Directory asks an LDAP directory who a person is.
type Directory struct {
	o     Options
	slots chan struct{}
	pace  pace
}

// New returns a Directory. It connects to nothing.
func New(o Options) (*Directory, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.complete()
	return &Directory{o: o, slots: make(chan struct{}, o.Requests)}, nil
}

// Source returns the directory as a source of users.
func (d *Directory) Source() *tokenep.UserSource {
	return &tokenep.UserSource{
		Authenticate: d.Authenticate, Find: d.Find, Recheck: d.o.Recheck, Turns: tokenep.NewQueue(d.o.Requests),
	}
}

// Authenticate is that of a tokenep.UserSource.
func (d *Directory) Authenticate(ctx context.Context, name, password string) (user tokenep.User, err error) {
	if password == "" { // RFC 4513 §5.1.2: such a bind succeeds, and proves nothing
		return user, tokenep.ErrNoUser
	}
	err = d.do(ctx, func(ctx context.Context, conn *ldap.Conn) error {
		entry, err := d.search(conn, fill(d.o.Filter, ldap.EscapeFilter(name), ""))
		if errors.Is(err, tokenep.ErrNoUser) {
			return errors.Join(err, d.pace.wait(ctx))
		}
		if err != nil {
			return err
		}
		start := time.Now()
		// Before this connection is somebody else's.
		if user, err = d.user(conn, entry); err != nil {
			return err
		}
		err = bind(conn, entry.DN, password)
		if err == nil || errors.Is(err, tokenep.ErrNoUser) {
			d.pace.note(time.Since(start))
		}
		return err
	})
	if err != nil {
		return tokenep.User{}, err
	}
	return user, nil
}

// Find is that of a tokenep.UserSource: it searches for whom the filter could have found by any
// name.
func (d *Directory) Find(ctx context.Context, subject string) (user tokenep.User, err error) {
	if subject == "" {
		return user, tokenep.ErrNoUser
	}
	filter := fmt.Sprintf("(&%s(%s=%s))", fill(d.o.Filter, "*", ""), d.o.Subject, ldap.EscapeFilter(subject))
	err = d.do(ctx, func(_ context.Context, conn *ldap.Conn) error {
		entry, err := d.search(conn, filter)
		if err == nil {
			user, err = d.user(conn, entry)
		}
		return err
	})
	return user, err
}

// do asks on a connection of its own, when there is room for one.
func (d *Directory) do(ctx context.Context, ask func(context.Context, *ldap.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, d.o.Timeout)
	defer cancel()
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	conn, end, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer end()
	if d.o.Bind != "" {
		if err := conn.Bind(d.o.Bind, d.o.Password); err != nil {
			return fmt.Errorf("binding as %s: %w", d.o.Bind, err)
		}
	}
	return ask(ctx, conn)
}

// search returns the one entry of a person.
func (d *Directory) search(conn *ldap.Conn, filter string) (*ldap.Entry, error) {
	wanted := []string{d.o.Subject}
	for _, c := range d.o.Claims {
		wanted = append(wanted, c.From)
	}
	const enough = 2 // to see that there is more than one
	result, err := conn.Search(ldap.NewSearchRequest(d.o.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
		enough, int(d.o.Timeout/time.Second)+1, false, filter, wanted, nil))
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded), err == nil && len(result.Entries) > 1:
		return nil, errors.New("several entries have this name; filter must find one")
	case err != nil:
		return nil, fmt.Errorf("searching below %s: %w", d.o.Base, err)
	case len(result.Entries) == 0:
		return nil, tokenep.ErrNoUser
	case result.Entries[0].DN == "":
		return nil, errors.New("the entry has no name")
	}
	return result.Entries[0], nil
}

// user returns the person of an entry.
func (d *Directory) user(conn *ldap.Conn, entry *ldap.Entry) (tokenep.User, error) {
	subjects := entry.GetEqualFoldAttributeValues(d.o.Subject)
	if len(subjects) != 1 {
		return tokenep.User{}, fmt.Errorf("%s has %d values of %s, which is the subject; it must have one", entry.DN, len(subjects), d.o.Subject)
	}
	groups, err := d.groups(conn, entry.DN, subjects[0])
	if err != nil {
		return tokenep.User{}, err
	}
	claims := d.o.Claims.Read(func(from string) any {
		values := entry.GetEqualFoldAttributeValues(from)
		if from == GroupsAttribute && d.o.Groups != nil {
			return groups // a list, also if it has one
		}
		switch len(values) {
		case 0:
			return nil
		case 1:
			return values[0]
		default:
			return values
		}
	})
	return tokenep.User{Subject: subjects[0], Claims: claims}, nil
}

// groups returns the names of the groups of a person.
func (d *Directory) groups(conn *ldap.Conn, dn, subject string) (names []string, err error) {
	g := d.o.Groups
	if g == nil {
		return nil, nil
	}
	result, err := conn.Search(ldap.NewSearchRequest(g.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
		0, int(d.o.Timeout/time.Second)+1, false, fill(g.Filter, ldap.EscapeFilter(subject), ldap.EscapeFilter(dn)), []string{g.Attribute}, nil))
	if err != nil {
		return nil, fmt.Errorf("searching for groups below %s: %w", g.Base, err)
	}
	for _, entry := range result.Entries {
		names = append(names, entry.GetEqualFoldAttributeValues(g.Attribute)...)
	}
	return names, nil
}

// bind proves the password (RFC 4513 §5.1.3). The error Is tokenep.ErrNoUser where the directory
// says no: also to whom it has barred, or who has no password there.
func bind(conn *ldap.Conn, dn, password string) error {
	err := conn.Bind(dn, password)
	if ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultInappropriateAuthentication,
		ldap.LDAPResultConstraintViolation, ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultNoSuchObject) {
		return fmt.Errorf("%w: %w", tokenep.ErrNoUser, err)
	}
	if err != nil {
		return fmt.Errorf("binding as %s: %w", dn, err)
	}
	return nil
}
