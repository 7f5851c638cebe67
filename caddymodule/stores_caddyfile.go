package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func (s *Server) parseStore(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Err("store takes the name of a store, such as bolt or memory")
	}
	name := d.Val()
	module, err := caddyfile.UnmarshalModule(d, "oauth_server.stores."+name)
	if err != nil {
		return err
	}
	s.StoreRaw = caddyconfig.JSONModuleObject(module, "module", name, nil)
	return nil
}

// UnmarshalCaddyfile reads a store. Syntax:
//
//	store memory [<max_records>]
func (m *MemoryStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the name of the store
	if d.CountRemainingArgs() > 0 {
		return readCount(d, &m.MaxRecords)
	}
	return nil
}

// UnmarshalCaddyfile reads a store. Syntax:
//
//	store bolt [<path>]
func (b *BoltStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the name of the store
	if d.CountRemainingArgs() > 0 {
		return readOne(d, &b.Path)
	}
	return nil
}

// UnmarshalCaddyfile reads a store. Syntax:
//
//	store redis <url>
func (r *RedisStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return readAddress(d, &r.URL)
}

// UnmarshalCaddyfile reads a store. Syntax:
//
//	store postgres <dsn>
func (p *PostgresStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return readAddress(d, &p.DSN)
}

// readAddress reads where a database is, and refuses a password that everyone could read in the adapted configuration.
func readAddress(d *caddyfile.Dispenser, into *string) error {
	d.Next() // consume the name of the store
	if err := readOne(d, into); err != nil {
		return err
	}
	if err := checkPassword(*into); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*MemoryStore)(nil)
	_ caddyfile.Unmarshaler = (*BoltStore)(nil)
	_ caddyfile.Unmarshaler = (*RedisStore)(nil)
	_ caddyfile.Unmarshaler = (*PostgresStore)(nil)
)
