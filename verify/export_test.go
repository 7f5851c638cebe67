package verify

import "crypto"

// VerifySignature lets tests in with signatures that no issuer would make.
func VerifySignature(name string, key crypto.PublicKey, input string, signature []byte) error {
	a, err := findAlgorithm(name)
	if err != nil {
		return err
	}
	return a.verify(key, input, signature)
}
