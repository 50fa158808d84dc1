package publish

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/openstack-rca/openstack-rca/ci/ledger"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/modelfile/formats"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// file is a file of the model.
type file struct {
	name string
	ledger.Local
}

// content is what is published: the model file, then the others by name.
type content struct {
	format modelfile.Format
	files  []file
	// key identifies the content for idempotency.
	key string
	// versions are the versions of the packages that the model was made with, as far as known.
	versions map[string]string
	// refused are invalid versions found beside the model.
	refused []string
}

// gather hashes the model's files and derives the idempotency key from what a version guarantees: model, environment, the
// files' bytes and the source tree.
func gather(in Input) (*content, []*verdict.Problem) {
	artifact := in.Model
	if artifact == nil || artifact.Dir == "" || artifact.File == "" {
		return nil, []*verdict.Problem{verdict.Problemf(CodeInput, "there is no trained model to publish")}
	}
	entries, err := os.ReadDir(artifact.Dir)
	if err != nil {
		return nil, []*verdict.Problem{verdict.Problemf(CodeInput, "read model files: %v", err)}
	}
	format, known := formats.Named(artifact.Format)
	if !known {
		return nil, []*verdict.Problem{verdict.Problemf(CodeInput, "%s has the format %q, which cannot be published", artifact.File,
			artifact.Format)}
	}
	c := &content{format: format, versions: map[string]string{}}
	// What the training stage found out itself takes precedence over what the application says.
	defer func() { maps.Copy(c.versions, artifact.Versions) }()
	for _, entry := range entries {
		if !entry.Type().IsRegular() {
			continue
		}
		path := filepath.Join(artifact.Dir, entry.Name())
		sum, size, err := hashFile(path)
		if err != nil {
			return nil, []*verdict.Problem{verdict.Problemf(CodeInput, "read model file %s: %v", entry.Name(), err)}
		}
		c.files = append(c.files, file{entry.Name(), ledger.Local{Path: path, SHA256: sum, Bytes: size}})
		c.refused = append(c.refused, readVersions(c.versions, path, size)...)
	}
	i := slices.IndexFunc(c.files, func(f file) bool { return f.name == artifact.File })
	if i < 0 {
		return nil, []*verdict.Problem{verdict.Problemf(CodeModelChanged, "the model file %s is not among the model's files", artifact.File)}
	}
	if c.files[i].SHA256 != artifact.SHA256 {
		return nil, []*verdict.Problem{verdict.Problemf(CodeModelChanged, "%s has sha256 %s, the gates passed %s", artifact.File,
			c.files[i].SHA256, artifact.SHA256)}
	}
	slices.SortFunc(c.files, func(a, b file) int {
		if (a.name == artifact.File) != (b.name == artifact.File) {
			if a.name == artifact.File {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.name, b.name)
	})
	if problems := c.apart(); len(problems) > 0 {
		return nil, problems
	}
	h := sha256.New()
	for _, part := range []string{"openstack-rca publish 1", in.Config.Name, in.Environment, in.registered(), in.Tree} {
		_, _ = fmt.Fprintf(h, "%d:%s\n", len(part), part)
	}
	for _, f := range c.files {
		_, _ = fmt.Fprintf(h, "%d:%s %s\n", len(f.name), f.name, f.SHA256)
	}
	c.key = hex.EncodeToString(h.Sum(nil))
	return c, nil
}

// apart refuses a file whose path collides with another file in MLflow's model directory.
func (c *content) apart() []*verdict.Problem {
	var problems []*verdict.Problem
	taken := map[string]string{"MLmodel": "", "conda.yaml": "", "python_env.yaml": "", "requirements.txt": ""}
	for _, f := range c.files {
		place := modelfile.Served(f.name, c.model().name)
		if _, both := taken[place]; both {
			problem := verdict.Problemf(CodeInput, "%s would take the place of another file (%s) in MLflow's model directory", f.name, place)
			problem.Next = "Rename the file, or leave it out of train.artifacts in pipeline.yaml"
			problems = append(problems, problem)
		}
		taken[place] = f.name
	}
	return problems
}

func (c *content) model() file { return c.files[0] }

// bytes returns the size of all files.
func (c *content) bytes() int64 {
	var n int64
	for _, f := range c.files {
		n += f.Bytes
	}
	return n
}

// pathIn returns a file's path in the directory of version n.
func (c *content) pathIn(series ledger.Series, n int, f file) string {
	if f.name == c.model().name {
		return series.ModelFile(n, filepath.Ext(f.name))
	}
	return ledger.SideFile(f.name)
}

// manifest lists the files of version n.
func (c *content) manifest(series ledger.Series, n int) []ledger.File {
	var files []ledger.File
	for _, f := range c.files {
		files = append(files, ledger.File{Path: c.pathIn(series, n, f), SHA256: f.SHA256, Bytes: f.Bytes})
	}
	return files
}

// served is a file as provided by the registry.
type served struct {
	// path is relative to the model directory; name is the file's name in the content.
	path, name string
	sha256     string
	bytes      int64
}

// served lists the files in the model directory, the model file first.
func (c *content) served() []served {
	var all []served
	for _, f := range c.files {
		all = append(all, served{path: modelfile.Served(f.name, c.model().name), name: f.name, sha256: f.SHA256, bytes: f.Bytes})
	}
	return all
}

// servedOf lists the files of a committed version.
func servedOf(commit *ledger.Commit) []served {
	var all []served
	for _, f := range commit.Files {
		name := path.Base(f.Path)
		file := served{path: modelfile.Served(name, path.Base(commit.Model)), name: name, sha256: f.SHA256, bytes: f.Bytes}
		if f.Path == commit.Model {
			all = slices.Insert(all, 0, file)
		} else {
			all = append(all, file)
		}
	}
	return all
}

func hashFile(path string) (string, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	n, err := io.CopyBuffer(h, f, make([]byte, 256<<10))
	return hex.EncodeToString(h.Sum(nil)), n, err
}

// readVersions takes package versions from a description that the application saved beside its model ("versions": {"keras":
// "3.13.2", ...}), if there is one.
//
// Each becomes a line of the environment that the registry provides, so invalid versions are left out, and returned by name.
func readVersions(into map[string]string, path string, size int64) (refused []string) {
	if filepath.Ext(path) != ".json" || size > 4<<20 {
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var description struct {
		Versions map[string]string `json:"versions"`
	}
	if json.Unmarshal(b, &description) != nil {
		return nil
	}
	for _, name := range formats.Packages() {
		switch v := description.Versions[name]; {
		case v == "":
		case modelfile.ValidVersion(v):
			into[name] = v
		default:
			refused = append(refused, fmt.Sprintf("%s: %s is %q", filepath.Base(path), name, clip(v, 80)))
		}
	}
	return refused
}

// history converts the measurements to points: all logged points, and the final value where it is not the last point. at is
// the time of those.
func history(m *model.Artifact, at int64) map[string][]model.Point {
	all := map[string][]model.Point{}
	for name, points := range m.History {
		all[name] = slices.Clone(points)
	}
	for name, value := range m.Metrics {
		points := all[name]
		if len(points) == 0 {
			all[name] = []model.Point{{Timestamp: at, Value: value}}
			continue
		}
		last := slices.MaxFunc(points, func(a, b model.Point) int {
			return cmp.Or(cmp.Compare(a.Step, b.Step), cmp.Compare(a.Timestamp, b.Timestamp))
		})
		if last.Value != value {
			all[name] = append(points, model.Point{Step: last.Step, Timestamp: max(at, last.Timestamp+1), Value: value})
		}
	}
	return all
}
