package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Key is the SHA-256 of values that can be written as JSON, in hex, for what is kept from one run to the
// next; empty if they cannot. Nothing is kept under an empty key.
func Key(values ...any) string {
	parts, err := json.Marshal(values)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(parts)
	return hex.EncodeToString(sum[:])
}

// Program is the SHA-256 of this program, in hex: what one version found out is not what another one would.
// Empty if it cannot be read.
var Program = sync.OnceValue(func() string {
	name, err := os.Executable()
	if err != nil {
		return ""
	}
	sum, err := FileSHA256(name)
	if err != nil {
		return ""
	}
	return sum
})

// FileSHA256 is the SHA-256 of a local file, in hex.
func FileSHA256(name string) (sum string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
