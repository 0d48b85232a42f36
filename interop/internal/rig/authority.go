package rig

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// An Authority signs certificates that are good for one test. Its methods panic
// where there is no randomness.
type Authority struct {
	Pool *x509.CertPool // with the authority in it

	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority of its own.
func NewAuthority() *Authority {
	a := &Authority{Pool: x509.NewCertPool()}
	der, key := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	a.cert, a.key = must(x509.ParseCertificate(der)), key
	a.Pool.AddCert(a.cert)
	return a
}

// Certificate makes a certificate for a name and the addresses of a server, if
// it is one.
func (a *Authority) Certificate(name string, ips ...string) tls.Certificate {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, ip := range ips {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(ip))
	}
	der, key := a.sign(template)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *Authority) sign(template *x509.Certificate) (der []byte, key *ecdsa.PrivateKey) {
	key = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	return must(x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)), key
}

// PEM is the authority's own certificate, for programs that read it from a file.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// ServerTLS is a configuration for the server's end of a rig.
func (a *Authority) ServerTLS(r *Rig) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{a.Certificate("server", r.Server.IP)}}
}

// ClientTLS is a configuration that trusts the authority alone.
func (a *Authority) ClientTLS() *tls.Config { return &tls.Config{RootCAs: a.Pool} }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
