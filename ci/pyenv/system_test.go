package pyenv

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestAMissingLibraryOrProgramNamesItsPackage(t *testing.T) {
	said := func(library string) string {
		return "OSError: " + library + ": cannot open shared object file: No such file or directory\n"
	}
	for library, name := range map[string]string{
		"libgomp.so.1": "libgomp1", "libGL.so.1": "libgl1", "libglib-2.0.so.0": "libglib2.0-0", "libsndfile.so.1": "libsndfile1",
		"libpq.so.5": "libpq5", "libgdal.so.32": "libgdal32", "libgeos_c.so.1": "libgeos-c1", "libhdf5_serial.so.103": "libhdf5-serial103",
		"libavutil-ffmpeg2.so.54": "libavutil-ffmpeg2-54",
	} {
		assert.Contains(t, detect(t, map[string]string{"requirements.txt": "x\n"}).MissingNext(said(library)), "system_packages: ["+name+"]", library)
	}
	for output, name := range map[string]string{
		"FileNotFoundError: [Errno 2] No such file or directory: 'git'":                  "git",
		"TesseractNotFoundError: tesseract is not installed or it's not in your PATH":    "tesseract-ocr",
		"ExecutableNotFound: failed to execute PosixPath('dot'), make sure the Graphviz": "graphviz",
		"JAVA_HOME is not set\nPySparkRuntimeError: [JAVA_GATEWAY_EXITED]":               "default-jre-headless",
		"locale.Error: unsupported locale setting":                                       "locales-all",
		"ImportError: failed to find libmagic.  Check your installation":                 "libmagic1",
	} {
		assert.Contains(t, detect(t, map[string]string{"requirements.txt": "x\n"}).MissingNext(output), "system_packages: ["+name+"]", output)
	}
	for sentence, output := range map[string]string{
		"a file":           "FileNotFoundError: [Errno 2] No such file or directory: 'data'",
		"a path":           "FileNotFoundError: [Errno 2] No such file or directory: 'models/git'",
		"a driver's":       said("libcuda.so.1"),
		"a part of Python": said("libpython3.9.so.1.0"),
		"no version":       said("libfoo.so"),
		"another error":    "OSError: libgomp.so.1: invalid ELF header",
	} {
		assert.Empty(t, detect(t, map[string]string{"requirements.txt": "x\n"}).MissingNext(output), sentence)
	}
	assert.Contains(t, detect(t, map[string]string{"requirements.txt": "x\n"}).MissingNext("    import cv2\nImportError: "+said("libxcb.so.1")),
		"system_packages: [libgl1, libglib2.0-0]")
	source := fake.Files(map[string]string{"requirements.txt": "x\n"})
	p, err := Detect(t.Context(), source, Request{Stage: verdict.Test, Python: "3.12", System: []string{"libgl1"}})
	require.NoError(t, err)
	assert.Contains(t, p.MissingNext(said("libgomp.so.1")), "system_packages: [libgl1, libgomp1]")
	assert.Equal(t, "Without an engine: sudo apt-get install libgl1", p.MissingNext(said("libGL.so.1")))
	assert.Equal(t, []string{"libgl1"}, p.Environment(fake.New(), source).System)
}

func TestWhatAptSaysIsExplained(t *testing.T) {
	p := detect(t, map[string]string{"uv.lock": "version = 1\n", "pyproject.toml": "[project]\nname='a'\nversion='1'\n"})
	for said, want := range map[string]string{
		"Reading package lists...\nE: Unable to locate package libgomp9\n": "does not have libgomp9: find its name",
		"E: Version '9' for 'libgl1' was not found\n":                      "does not have libgl1: find its name",
		"E: Package 'python-opencv' has no installation candidate\n":       "does not have python-opencv: find its name",
		"sh: 3: apt-get: not found\n":                                      "The image has no apt",
	} {
		assert.Contains(t, SystemNext(said), want)
		assert.Contains(t, p.InstallNext(said), want)
	}
	assert.Empty(t, SystemNext("E: Could not get lock"))
}

func TestAPackageThatMustBeBuiltNamesWhatBuildsIt(t *testing.T) {
	p := detect(t, map[string]string{"requirements.txt": "x\n"})
	for said, want := range map[string]string{
		"error: Failed to build `annoy==1.17.3`\n  error: [Errno 2] No such file or directory: 'g++'\n":                                         "[build-essential]",
		"error: Failed to build `a==1`\n  error: command 'gcc' failed: No such file or directory\n":                                             "[build-essential]",
		"error: Failed to build `a==1`\n error: command 'x86_64-linux-gnu-g++' failed: No such file or directory":                               "[build-essential]",
		"error: Failed to build `psycopg2==2.9.13`\n  Error: pg_config executable not found.\n":                                                 "[build-essential, libpq-dev, libpq5]",
		"error: Failed to build `pygraphviz==1.14`\n pygraphviz/graphviz_wrap.c:9: fatal error: graphviz/cgraph.h: No such file or directory\n": "[libgraphviz-dev, graphviz]",
		"error: Git operation failed\n  cause: Git executable not found. Ensure that Git is installed and available.":                           "[git]",
	} {
		assert.Contains(t, p.InstallNext(said), "system_packages: "+want, said)
	}
	assert.Contains(t, p.InstallNext("a.c:1:10: fatal error: odd/thing.h: No such file or directory"), "https://packages.debian.org/file:odd/thing.h")
	for _, name := range []string{"gcc", "g++-12", "libpq-dev", "cmake=3.25.1-1", "build-essential"} {
		assert.True(t, OnlyBuilds(name), name)
	}
	for _, name := range []string{"libpq5", "git", "gcc-snapshot-libs", "libgomp1=12.2.0-14", "devscripts"} {
		assert.False(t, OnlyBuilds(name), name)
	}
}

func TestAPackageThatIsOnlyANameAsksForTheRealOne(t *testing.T) {
	const said = "error: Failed to build `sklearn==0.0.post12`\nhint: `sklearn` is often confused for `scikit-learn`. Did you mean to install `scikit-learn` instead?\n"
	assert.Equal(t, "Name scikit-learn instead of sklearn in requirements.txt",
		detect(t, map[string]string{"requirements.txt": "sklearn\n"}).InstallNext(said))
	assert.Equal(t, "Name scikit-learn instead of sklearn. Lock again, and correct what that names: uv lock; where uv is missing: pip install uv",
		detect(t, map[string]string{"uv.lock": "version = 1\n", "pyproject.toml": "[project]\nname='a'\nversion='1'\n"}).InstallNext(said))
}

func TestRequirementsOfLoggedModelsAreNotOfTheProject(t *testing.T) {
	p := detect(t, map[string]string{"requirements.txt": "six\n", "mlruns/1/2/artifacts/model/requirements.txt": "x\n", "sub/requirements.txt": "y\n"})
	assert.Equal(t, []string{"sub/requirements.txt"}, p.Unread)
}
