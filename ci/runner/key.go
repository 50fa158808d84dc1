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

// Key returns the SHA-256, in hex, of values that can be encoded as JSON, as a key for what is kept between runs. It is empty
// if they cannot be encoded; nothing is kept under an empty key.
func Key(values ...any) string {
	parts, err := json.Marshal(values)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(parts)
	return hex.EncodeToString(sum[:])
}

// Program returns the SHA-256 of this program in hex, because another version may come to other results. It is empty if the
// program cannot be read.
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

// FileSHA256 returns the SHA-256 of a local file in hex.
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
