package caddymodule_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"net/http"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// The handlers that do only what is unavoidable, with which the benchmarks compare.

var benchKey, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)

// benchSignature is the least that a token endpoint can do.
type benchSignature struct{}

func (benchSignature) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.bench_signature", New: func() caddy.Module { return new(benchSignature) }}
}

func (benchSignature) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	digest := sha256.Sum256(body)
	if _, err := ecdsa.SignASN1(rand.Reader, benchKey, digest[:]); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(benchAnswer)))
	_, err = w.Write(benchAnswer)
	return err
}

// benchAnswer is as long as the answer of the token endpoint.
var benchAnswer = bytes.Repeat([]byte("a"), 650)

// benchAnswers is the least that an endpoint can do which reads a form.
type benchAnswers struct{}

func (benchAnswers) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.bench_answer", New: func() caddy.Module { return new(benchAnswers) }}
}

func (benchAnswers) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	if _, err := io.ReadAll(r.Body); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write(benchAnswer[:300])
	return err
}

// benchECDSA makes one raw verification and goes on.
type benchECDSA struct{}

func (benchECDSA) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.bench_ecdsa", New: func() caddy.Module { return new(benchECDSA) }}
}

var (
	benchDigest    = sha256.Sum256([]byte("signed"))
	benchSigned, _ = ecdsa.SignASN1(rand.Reader, benchKey, benchDigest[:])
)

func (benchECDSA) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !ecdsa.VerifyASN1(&benchKey.PublicKey, benchDigest[:], benchSigned) {
		return caddyhttp.Error(http.StatusInternalServerError, nil)
	}
	return next.ServeHTTP(w, r)
}
