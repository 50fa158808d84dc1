// Command virtual is a Sigstore for tests: it makes certificates for tokens, which it believes, and logs
// signatures. It prints its address and serves until its input ends.
//
//	/root.json, /services.json       what cosign takes as --trusted-root and --signing-config
//	/bundle?minutes=N                the bundle of a posted statement, logged N minutes after the signature
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	bundlepb "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	commonpb "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	dssepb "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	rekorpb "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"google.golang.org/protobuf/encoding/protojson"
)

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// services are a certificate authority for tokens, and a virtual Sigstore for all else.
type services struct {
	*ca.VirtualSigstore
	authority *root.FulcioCertificateAuthority
	key       *ecdsa.PrivateKey
	address   string
}

func serve() error {
	virtual, err := ca.NewVirtualSigstore()
	if err != nil {
		return err
	}
	top, topKey, err := ca.GenerateRootCa()
	if err != nil {
		return err
	}
	middle, key, err := ca.GenerateFulcioIntermediate(top, topKey)
	if err != nil {
		return err
	}
	s := services{virtual, &root.FulcioCertificateAuthority{
		Root: top, Intermediates: []*x509.Certificate{middle}, URI: "https://fulcio.localhost",
		ValidityPeriodStart: top.NotBefore, ValidityPeriodEnd: top.NotAfter,
	}, key, ""}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.address = "http://" + listener.Addr().String()
	for path, answer := range map[string]func(*http.Request) (any, error){
		"/root.json": s.root, "/services.json": s.services, "/bundle": s.bundle,
		"/api/v2/signingCert": s.certificate, "/api/v1/log/entries": s.log,
	} {
		http.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			found, err := answer(r)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			if entries, is := found.(map[string]logged); is {
				for id := range entries {
					w.Header().Set("ETag", id)
				}
				w.WriteHeader(http.StatusCreated)
			}
			content, is := found.([]byte)
			if !is {
				content, _ = json.Marshal(found)
			}
			_, _ = w.Write(content)
		})
	}
	fmt.Println(s.address)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return http.Serve(listener, nil)
}

func (s services) root(*http.Request) (any, error) {
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, append(s.FulcioCertificateAuthorities(), s.authority), nil,
		s.TimestampingAuthorities(), s.logs())
	if err != nil {
		return nil, err
	}
	return trusted.MarshalJSON()
}

// logs are those of the virtual Sigstore. It names a log by hexadecimal digits, and the file by bytes.
func (s services) logs() map[string]*root.TransparencyLog {
	all := s.RekorLogs()
	for name, log := range all {
		log.ID, _ = hex.DecodeString(name)
	}
	return all
}

func (s services) services(*http.Request) (any, error) {
	service := []map[string]any{{
		"url": s.address, "majorApiVersion": 1, "operator": "test", "validFor": map[string]string{"start": "2020-01-01T00:00:00Z"},
	}}
	return map[string]any{
		"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json", "caUrls": service, "rekorTlogUrls": service,
		"rekorTlogConfig": map[string]string{"selector": "ANY"},
	}, nil
}

// certificate believes the token, and that the caller has the key.
func (s services) certificate(r *http.Request) (any, error) {
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("no token")
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, err
	}
	var who struct{ Sub, Iss string }
	if err := json.Unmarshal(claims, &who); err != nil {
		return nil, err
	}
	var request struct {
		PublicKeyRequest struct{ PublicKey struct{ Content string } }
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(request.PublicKeyRequest.PublicKey.Content))
	if block == nil {
		return nil, errors.New("no key")
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	leaf, err := ca.GenerateLeafCert(who.Sub, who.Iss, time.Now().Add(-time.Minute), holder{public: public}, s.authority.Intermediates[0], s.key)
	if err != nil {
		return nil, err
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}))
	return map[string]any{"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{"certificates": []string{text}}}}, nil
}

// holder has only the public part of a key.
type holder struct {
	crypto.Signer
	public crypto.PublicKey
}

func (h holder) Public() crypto.PublicKey { return h.public }

// logged is an entry as the log answers it.
type logged struct {
	Body           string         `json:"body"`
	IntegratedTime int64          `json:"integratedTime"`
	LogID          string         `json:"logID"`
	LogIndex       int64          `json:"logIndex"`
	Verification   map[string]any `json:"verification"`
}

func (s services) log(r *http.Request) (any, error) {
	var proposed struct {
		Spec struct {
			ProposedContent struct {
				Envelope  string
				Verifiers [][]byte
			}
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&proposed); err != nil {
		return nil, err
	}
	var envelope dsse.Envelope
	if err := json.Unmarshal([]byte(proposed.Spec.ProposedContent.Envelope), &envelope); err != nil {
		return nil, err
	}
	if len(proposed.Spec.ProposedContent.Verifiers) != 1 || len(envelope.Signatures) != 1 {
		return nil, errors.New("not one signature")
	}
	block, _ := pem.Decode(proposed.Spec.ProposedContent.Verifiers[0])
	if block == nil {
		return nil, errors.New("no certificate")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	signature, err := base64.StdEncoding.DecodeString(envelope.Signatures[0].Sig)
	if err != nil {
		return nil, err
	}
	made, err := s.GenerateTlogEntry(leaf, &envelope, signature, time.Now().Unix(), true)
	if err != nil {
		return nil, err
	}
	entry, err := s.promised(made)
	if err != nil {
		return nil, err
	}
	proof := entry.GetInclusionProof()
	hashes := []string{}
	for _, hash := range proof.GetHashes() {
		hashes = append(hashes, hex.EncodeToString(hash))
	}
	return map[string]logged{strings.Repeat("a", 64): {
		Body: base64.StdEncoding.EncodeToString(entry.GetCanonicalizedBody()), IntegratedTime: entry.GetIntegratedTime(),
		LogID: hex.EncodeToString(entry.GetLogId().GetKeyId()), LogIndex: entry.GetLogIndex(), Verification: map[string]any{
			"signedEntryTimestamp": entry.GetInclusionPromise().GetSignedEntryTimestamp(),
			"inclusionProof": map[string]any{
				"checkpoint": proof.GetCheckpoint().GetEnvelope(), "hashes": hashes, "logIndex": proof.GetLogIndex(),
				"rootHash": hex.EncodeToString(proof.GetRootHash()), "treeSize": proof.GetTreeSize(),
			},
		},
	}}, nil
}

// promised is an entry with the log's signature on its time, which the virtual Sigstore makes and leaves out.
func (s services) promised(made *tlog.Entry) (*rekorpb.TransparencyLogEntry, error) {
	entry := made.TransparencyLogEntry()
	signature, err := s.RekorSignPayload(tlog.RekorPayload{
		Body: base64.StdEncoding.EncodeToString(entry.GetCanonicalizedBody()), IntegratedTime: entry.GetIntegratedTime(),
		LogIndex: entry.GetLogIndex(), LogID: hex.EncodeToString(entry.GetLogId().GetKeyId()),
	})
	if err != nil {
		return nil, err
	}
	entry.InclusionPromise = &rekorpb.InclusionPromise{SignedEntryTimestamp: signature}
	entry.KindVersion = &rekorpb.KindVersion{Kind: "dsse", Version: "0.0.1"}
	return entry, nil
}

// bundle signs a statement as ci@example.invalid, vouched for by https://issuer.invalid.
func (s services) bundle(r *http.Request) (any, error) {
	statement, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	minutes, err := strconv.Atoi(r.URL.Query().Get("minutes"))
	if err != nil {
		return nil, err
	}
	entity, err := s.AttestAtTime("ci@example.invalid", "https://issuer.invalid", statement, time.Now().Add(time.Duration(minutes)*time.Minute), true)
	if err != nil {
		return nil, err
	}
	content, err := entity.VerificationContent()
	if err != nil {
		return nil, err
	}
	signed, err := entity.SignatureContent()
	if err != nil {
		return nil, err
	}
	entries, err := entity.TlogEntries()
	if err != nil {
		return nil, err
	}
	entry, err := s.promised(entries[0])
	if err != nil {
		return nil, err
	}
	return protojson.Marshal(&bundlepb.Bundle{
		MediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
		VerificationMaterial: &bundlepb.VerificationMaterial{
			Content: &bundlepb.VerificationMaterial_Certificate{
				Certificate: &commonpb.X509Certificate{RawBytes: content.Certificate().Raw},
			},
			TlogEntries: []*rekorpb.TransparencyLogEntry{entry},
		},
		Content: &bundlepb.Bundle_DsseEnvelope{DsseEnvelope: &dssepb.Envelope{
			Payload: statement, PayloadType: "application/vnd.in-toto+json",
			Signatures: []*dssepb.Signature{{Sig: signed.Signature()}},
		}},
	})
}
