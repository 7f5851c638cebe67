package state

// What the tests outside of the package measure themselves against.
const (
	MaxEntries   = maxEntries
	MinEntryLife = minEntryLife
	MaxAllowed   = maxAllowed
	MaxGrants    = maxGrants
	ConsentLife  = consentLife
	HeadInterval = headInterval

	KindRevocation     = kindRevocation
	KindRevocationHead = kindRevocationHead
	HeadID             = headID
)

// EntryID is the id of an entry of the log of revocations.
func EntryID(n uint64) string { return entryID(n) }

// FormatAPIToken lets tests write tokens that no server ever made.
var FormatAPIToken = formatAPIToken

// ForgeRefreshToken writes the token of another generation, as one could who has a token of the
// family, and the key.
func ForgeRefreshToken(key []byte, token string, generation uint64) string {
	mac := newRefreshMAC(key)
	t, _ := parseRefreshToken(mac, token)
	t.generation = generation
	return t.format(mac)
}

// ForgeSecret writes a token of the same family and generation with another secret.
func ForgeSecret(key []byte, token string) string {
	mac := newRefreshMAC(key)
	t, _ := parseRefreshToken(mac, token)
	t.secret[0] ^= 1
	return t.format(mac)
}

// newRefreshMAC returns the MAC with a key of any length.
func newRefreshMAC(key []byte) *RefreshMAC {
	m := new(RefreshMAC)
	m.setKey(key)
	return m
}
