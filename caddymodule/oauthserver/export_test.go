package oauthserver

// SetArgon2idCost sets what hashing a literal secret costs, until restore is called.
func SetArgon2idCost(cost string) (restore func()) {
	before := argon2idCost
	argon2idCost = cost
	return func() { argon2idCost = before }
}
