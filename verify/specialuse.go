package verify

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
)

// specialUse are the blocks of the IANA special-purpose address registries (RFC 6890) that are not
// globally reachable, and multicast (RFC 5771). Of IPv6, only 2000::/3 is global (RFC 4291 §2.4):
// what is listed lies within it.
var specialUse = prefixes(
	"0.0.0.0/8",       // this network (RFC 791 §3.2)
	"10.0.0.0/8",      // private use (RFC 1918)
	"100.64.0.0/10",   // carrier-grade NAT (RFC 6598)
	"127.0.0.0/8",     // loopback (RFC 1122 §3.2.1.3)
	"169.254.0.0/16",  // link-local (RFC 3927), and the metadata services of clouds
	"172.16.0.0/12",   // private use (RFC 1918)
	"192.0.0.0/24",    // protocol assignments (RFC 6890 §2.1)
	"192.0.2.0/24",    // documentation (RFC 5737)
	"192.88.99.0/24",  // relays of 6to4 (RFC 7526)
	"192.168.0.0/16",  // private use (RFC 1918)
	"198.18.0.0/15",   // benchmarks (RFC 2544)
	"198.51.100.0/24", // documentation (RFC 5737)
	"203.0.113.0/24",  // documentation (RFC 5737)
	"224.0.0.0/4",     // multicast (RFC 5771)
	"240.0.0.0/4",     // reserved (RFC 1112 §4), and broadcast (RFC 919)
	"2001::/23",       // protocol assignments, with Teredo (RFC 2928, RFC 4380)
	"2001:db8::/32",   // documentation (RFC 3849)
	"2002::/16",       // 6to4, which has an IPv4 address in it (RFC 3056)
	"3fff::/20",       // documentation (RFC 9637)
)

var (
	globalUnicast = netip.MustParsePrefix("2000::/3")
	nat64         = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052 §2.1
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

// isSpecialUse reports whether an address leads to somewhere else than a host of the Internet. An
// IPv4 address is judged by itself also where IPv6 carries it: mapped (RFC 4291 §2.5.5.2), or
// behind NAT64 (RFC 6052), through which a network without IPv4 reaches all of it.
func isSpecialUse(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if nat64.Contains(a) {
		bytes := a.As16()
		a = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	if a.Is6() && !globalUnicast.Contains(a) {
		return true
	}
	return within(specialUse, a)
}

func within(list []netip.Prefix, a netip.Addr) bool {
	for _, prefix := range list {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// DialControl returns what a net.Dialer takes for Control to make no connection to a special-use
// address (RFC 6890), but to those within addresses. With loopback, which is for a name of this
// machine (see IsLoopback), it makes none but to those and to the loopback interface. It judges the
// address after the name was resolved, so that no name can stand for another one by then.
func DialControl(addresses []netip.Prefix, loopback bool) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		a := to.Addr().Unmap().WithZone("")
		switch {
		case within(addresses, a), loopback && a.IsLoopback():
			return nil
		case loopback:
			return fmt.Errorf("%s is not of this machine, as the name of the host says", a)
		case isSpecialUse(a):
			return fmt.Errorf("%s is %w", a, errSpecialUse)
		}
		return nil
	}
}

// IsLoopback reports whether the host of a URL is this machine: a loopback address, localhost, or a
// name below it (RFC 6761 §6.3).
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	name := strings.ToLower(host)
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || ip != nil && ip.IsLoopback()
}

// ParseAddresses reads addresses and blocks of them in CIDR notation (RFC 4632 §3.1, RFC 4291
// §2.3): 10.1.2.3, 10.0.0.0/8, fd00::/8.
func ParseAddresses(texts []string) ([]netip.Prefix, error) {
	list := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			address, err := netip.ParseAddr(text)
			if err != nil || address.Zone() != "" {
				return nil, fmt.Errorf("%q is neither an address nor a block of addresses, such as 10.0.0.0/8", text)
			}
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		if prefix != prefix.Masked() {
			return nil, fmt.Errorf("%s: bits are set behind the prefix; the block is %s", text, prefix.Masked())
		}
		list = append(list, prefix)
	}
	return list, nil
}
