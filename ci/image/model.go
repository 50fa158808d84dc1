package image

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// checkModel compares the gated model's digest with its file on this host, if there is one, and
// with the published version. The build checks the files that it gets again.
func (s *session) checkModel() *verdict.Problem {
	m := s.in.Model
	if m.File == "" || path.Base(m.File) != m.File {
		return verdict.Problemf(CodeModelMissing, "%q is not the name of a file", m.File)
	}
	if s.in.Version != nil && s.in.Version.SHA256 != m.SHA256 {
		return verdict.Problemf(CodeModelMismatch, "version %d was published with sha256 %s, the gated model has %s",
			s.in.Version.Number, s.in.Version.SHA256, m.SHA256)
	}
	if m.Dir == "" {
		return nil
	}
	got, err := runner.FileSHA256(filepath.Join(m.Dir, m.File))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return verdict.Problemf(CodeModelMissing, "%s is not among the model's files", m.File)
	case err != nil:
		return verdict.Problemf(CodeModelMissing, "read the model: %v", err)
	case got != m.SHA256:
		return verdict.Problemf(CodeModelMismatch, "%s has sha256 %s, the gated model has %s", m.File, got, m.SHA256)
	}
	return nil
}
