package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// schema is the version of the records below. A record of a newer one is not
// guessed at: nothing is written to a series that a newer program keeps.
const schema = 1

// Claim says who took a number, and for what. It is written once, never changed.
type Claim struct {
	Schema int `json:"schema"`
	Number int `json:"number"`
	// Key is the idempotency key of the content.
	Key string `json:"idempotency_key"`
	// Nonce tells this claim from another's for the same content.
	Nonce string `json:"nonce"`
	// ModelSHA256, Commit and Tree say what is to be published.
	ModelSHA256 string `json:"model_sha256"`
	Commit      string `json:"commit,omitempty"`
	Tree        string `json:"tree,omitempty"`
	// ClaimedAt is by the publisher's clock: for readers, not for decisions.
	ClaimedAt time.Time `json:"claimed_at"`
	// Age is how long ago the store took the claim, by the store's own clock. Aged says
	// whether the store told; both are set where a claim is read.
	Age  time.Duration `json:"-"`
	Aged bool          `json:"-"`
}

// OlderThan means that the claim is older than d by the store's clock. A claim of unknown
// age is not.
func (c *Claim) OlderThan(d time.Duration) bool { return c.Aged && c.Age > d }

// File is a file of a version.
type File struct {
	// Path is relative to the version's folder.
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// Commit is the manifest that makes a version real. Readers trust no other.
type Commit struct {
	Schema int    `json:"schema"`
	Number int    `json:"number"`
	Key    string `json:"idempotency_key"`
	// Model is the path of the model file, one of Files.
	Model string `json:"model"`
	Files []File `json:"files"`
	// Registered and RegistryVersion name the version in the model registry, RunID its run.
	Registered      string `json:"registered_model"`
	RegistryVersion string `json:"registry_version"`
	RunID           string `json:"run_id"`

	Environment   string             `json:"environment"`
	Commit        string             `json:"commit,omitempty"`
	Tree          string             `json:"tree,omitempty"`
	Data          string             `json:"data_fingerprint,omitempty"`
	Metrics       map[string]float64 `json:"metrics"`
	ModuleVersion string             `json:"module_version,omitempty"`
	CommittedAt   time.Time          `json:"committed_at"`

	// Abandoned means that this number was given up: it is no version and never will be.
	Abandoned *Abandonment `json:"abandoned,omitempty"`
}

// Abandonment is the end of a claim that nobody will finish.
type Abandonment struct {
	At time.Time `json:"at"`
}

// ModelFile is the entry of the model file, nil when the manifest has none.
func (c *Commit) ModelFile() *File {
	for i := range c.Files {
		if c.Files[i].Path == c.Model {
			return &c.Files[i]
		}
	}
	return nil
}

// pointer leads from an idempotency key to the number that its content has.
type pointer struct {
	Schema int    `json:"schema"`
	Number int    `json:"number"`
	Key    string `json:"idempotency_key"`
}

// owner says whose folders a series is. Two pairs of application and environment can have
// the same folder names.
type owner struct {
	Schema      int    `json:"schema"`
	App         string `json:"app"`
	Environment string `json:"environment"`
}

// encode renders a record; the same record has the same bytes.
func encode(record any) ([]byte, error) {
	b, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return append(b, '\n'), nil
}

// decode reads a record and refuses what this program cannot vouch for.
func decode(key string, content []byte, record any) error {
	var head struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(content, &head); err != nil {
		return &Error{Op: "read record", Key: key, Kind: Unreadable, Message: "it is not JSON"}
	}
	if head.Schema != schema {
		return &Error{Op: "read record", Key: key, Kind: Unreadable,
			Message: fmt.Sprintf("its schema is %d, this program knows %d", head.Schema, schema)}
	}
	d := json.NewDecoder(bytes.NewReader(content))
	if err := d.Decode(record); err != nil {
		return &Error{Op: "read record", Key: key, Kind: Unreadable, Message: err.Error()}
	}
	return nil
}
