package ledger

import (
	"fmt"
	"strconv"
	"strings"
)

// Series names the versions of one model in one environment.
type Series struct {
	// App is the application: openstack-rca-system.
	App string
	// Environment is sandbox, staging, production, ...
	Environment string
	// Model is the model's name: lstm_model.
	Model string
}

// prefix heads the folders of the series.
func (s Series) prefix() string { return s.App + "-" + s.Environment + "_" }

// Folder is the folder of version n, as the pipeline document lays it out:
// openstack-rca-system-prod_0007. Numbers above 9999 are wider.
func (s Series) Folder(n int) string { return fmt.Sprintf("%s%04d", s.prefix(), n) }

// ModelFile is the model's path within its folder: models/lstm_model_v7.keras.
// extension is that of the trained file, with its dot.
func (s Series) ModelFile(n int, extension string) string {
	return fmt.Sprintf("%s%s_v%d%s", filesDir, s.Model, n, extension)
}

// SideFile is the path within the folder of a file that belongs to the model.
func SideFile(name string) string { return filesDir + name }

// layout says where the records of a series are in a bucket.
type layout struct {
	Series
	root string
}

// key is the object key of a path below the root.
func (l layout) key(path string) string {
	if l.root == "" {
		return path
	}
	return l.root + "/" + path
}

// inVersion is the object key of a path in version n's folder.
func (l layout) inVersion(n int, path string) string { return l.key(l.Series.Folder(n) + "/" + path) }

func (l layout) keysDir() string { return l.key(l.App + "-" + l.Environment + ".keys/") }

func (l layout) ownerKey() string { return l.keysDir() + "SERIES.json" }

func (l layout) pointerKey(key string, turn int) string {
	if turn > 1 {
		key = fmt.Sprintf("%s-%d", key, turn)
	}
	return l.keysDir() + key + ".json"
}

const (
	filesDir   = "models/"
	claimName  = "CLAIM.json"
	commitName = "COMMIT.json"
)

// number reads the number off a folder's name; false for anything Folder would not write.
func (s Series) number(folder string) (int, bool) {
	digits, ok := strings.CutPrefix(folder, s.prefix())
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && n > 0 && s.Folder(n) == folder
}
