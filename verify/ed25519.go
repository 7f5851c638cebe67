package verify

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"math/big"
	"slices"
)

// crypto/ed25519 accepts public keys of small order, under which one signature fits any message,
// and more than one encoding of a key. Both are refused here: RFC 8725 §3.4 requires validated
// inputs, and RFC 8032 §5.1.3 allows one encoding.

// smallOrder has the y coordinates of the eight points whose order divides eight, little endian: 0,
// 1, -1, and the two of order 8. The top bit of an encoding is the sign of x, and not part of y.
var smallOrder = [...][]byte{
	make([]byte, 32),
	unhex("0100000000000000000000000000000000000000000000000000000000000000"),
	unhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
	unhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
	unhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
}

// fieldPrime is p = 2^255 - 19, big endian.
var fieldPrime = unhex("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed")

// isWeakEd25519 reports whether key is of small order, or encoded with y >= p.
func isWeakEd25519(key ed25519.PublicKey) bool {
	var y [ed25519.PublicKeySize]byte
	copy(y[:], key)
	y[31] &= 0x7f
	for _, weak := range smallOrder {
		if bytes.Equal(y[:], weak) {
			return true
		}
	}
	slices.Reverse(y[:])
	return bytes.Compare(y[:], fieldPrime) >= 0
}

// isOnEd25519 reports whether key is a point of -x² + y² = 1 + dx²y², which is so if
// (y²-1)/(dy²+1) is a square. The divisor is never 0, as -1/d is not a square.
func isOnEd25519(key ed25519.PublicKey) bool {
	reversed := slices.Clone([]byte(key))
	reversed[31] &= 0x7f
	slices.Reverse(reversed)
	p, one := new(big.Int).SetBytes(fieldPrime), big.NewInt(1)
	y := new(big.Int).SetBytes(reversed)
	square := y.Mul(y, y)
	d := new(big.Int).ModInverse(big.NewInt(121666), p)
	d.Mul(d, big.NewInt(-121665))
	numerator := new(big.Int).Sub(square, one)
	denominator := d.Add(d.Mul(d, square), one)
	denominator.ModInverse(denominator.Mod(denominator, p), p)
	x := numerator.Mul(numerator, denominator)
	return big.Jacobi(x.Mod(x, p), p) >= 0
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}
