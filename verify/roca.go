package verify

import "math/big"

// rocaPrimes are the odd primes that divide the constant of the flawed generator for every length
// of keys that it made: those up to 167.
var rocaPrimes = [...]uint64{3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89,
	97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167}

// hasROCA reports whether n was made by a generator whose primes can be found (Nemec et al., "The
// Return of Coppersmith's Attack", 2017, §3). Modulo each of these primes, n is then a power of
// 65537. Of other moduli, one in 2^30 is so by chance.
func hasROCA(n *big.Int) bool {
	var remainder, divisor big.Int
	for _, p := range rocaPrimes {
		r := remainder.Mod(n, divisor.SetUint64(p)).Uint64()
		power := uint64(1)
		for power != r {
			if power = power * 65537 % p; power == 1 {
				return false
			}
		}
	}
	return true
}
