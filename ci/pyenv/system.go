package pyenv

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var (
	// notFound matches apt's message about a package that its index does not have.
	notFound = regexp.MustCompile(`E: (?:Unable to locate package|Package|Version '[^']*' for) '?([a-z0-9][a-z0-9+.-]*)'?`)
	// noLibrary matches the dynamic loader's message about a missing shared library.
	noLibrary = regexp.MustCompile(`(lib[A-Za-z0-9_+.-]+\.so(?:\.\d+)*): cannot open shared object file: No such file`)
	// noProgram matches Python's message about a program that is not on the path, noTool those of packages.
	noProgram = regexp.MustCompile(`No such file or directory: '([a-z][a-z0-9+]*)'`)
	noTool    = regexp.MustCompile(`(tesseract) is not installed|failed to execute \S*['"](dot)['"]|(JAVA)_HOME is not set|find (libmagic)|` +
		`(ffmpeg) was not found|Bad (git) executable|(Git) executable not found|(pg_config) executable not found|(mysql_config)\S* not found|` +
		`(unsupported locale) setting|` +
		`command '(?:\S+-)?(gcc|g\+\+|cc|c\+\+|gfortran)' failed: No such file`)
	// noHeader matches a compiler's message about a missing header.
	noHeader = regexp.MustCompile(`fatal error: ([\w./+-]+\.h(?:pp)?): No such file or directory`)
	// building are Debian packages that only builds of Python packages need.
	building = regexp.MustCompile(`^(?:build-essential|gcc|g\+\+|gfortran|clang|llvm|make|cmake|ninja-build|` +
		`pkg-config|cargo|rustc)(?:-[0-9.]+)?$|-dev$`)
	// ofDrivers are libraries that come with a GPU driver or wheel, not from Debian.
	ofDrivers = regexp.MustCompile(`^lib(?:cu|nv|nccl|hip|roc|amd|tensor|torch|c10|python)`)
	// digitBefore matches a library name whose package has a hyphen before the version.
	digitBefore = regexp.MustCompile(`\d$`)
)

// libraries maps libraries to Debian packages whose names do not follow the rule.
var libraries = map[string]string{
	"libglib-2.0.so.0": "libglib2.0-0", "libgthread-2.0.so.0": "libglib2.0-0", "libgobject-2.0.so.0": "libglib2.0-0",
	"libOpenGL.so.0": "libopengl0", "libmysqlclient.so.21": "libmariadb3", "libgs.so.9": "libgs9", "libgs.so.10": "libgs10",
	"libxml2.so.2": "libxml2", "libjemalloc.so.2": "libjemalloc2", "libopenblas.so.0": "libopenblas0", "liblapack.so.3": "liblapack3",
	"libcblas.so.3": "libatlas3-base", "libgomp.so.1": "libgomp1", "libpoppler-cpp.so.0": "libpoppler-cpp0v5",
}

// compilers is the package with compilers for C and C++ and the headers that they need.
const compilers = "build-essential"

// programs maps packages to programs, separated by spaces, that Python packages start.
var programs = map[string]string{
	"git": "git", "ffmpeg": "ffmpeg", "ffprobe": "ffmpeg", "tesseract": "tesseract-ocr", "java": "default-jre-headless", "dot": "graphviz",
	"pandoc": "pandoc", "curl": "curl", "node": "nodejs", "pdftotext": "poppler-utils", "pdftoppm": "poppler-utils", "ps": "procps",
	"unsupported locale": "locales-all", "libmagic": "libmagic1",
	"gcc": compilers, "g++": compilers, "cc": compilers, "c++": compilers, "make": compilers, "cmake": "cmake",
	"gfortran": "gfortran " + compilers, "pg_config": compilers + " libpq-dev libpq5",
	"mysql_config": compilers + " pkg-config default-libmysqlclient-dev",
}

// OnlyBuilds reports whether a Debian package is only needed for builds, such as gcc or libpq-dev, so that an image can do
// without it.
func OnlyBuilds(name string) bool {
	name, _, _ = strings.Cut(name, "=")
	return building.MatchString(name)
}

// headers maps packages, separated by spaces, to the headers that Python packages are built with, and to what those need at
// run time.
var headers = map[string]string{
	"graphviz/cgraph.h": "libgraphviz-dev graphviz", "portaudio.h": "portaudio19-dev libportaudio2", "sql.h": "unixodbc-dev unixodbc",
	"libpq-fe.h": "libpq-dev libpq5", "mysql.h": "default-libmysqlclient-dev", "ffi.h": "libffi-dev", "lber.h": "libldap-dev libsasl2-dev",
	"sasl/sasl.h": "libsasl2-dev", "cairo.h": "libcairo2-dev libcairo2", "snappy-c.h": "libsnappy-dev libsnappy1v5", "hdf5.h": "libhdf5-dev",
	"openssl/ssl.h": "libssl-dev", "zlib.h": "zlib1g-dev", "geos_c.h": "libgeos-dev libgeos-c1v5",
	"libxml/xmlversion.h": "libxml2-dev libxslt1-dev",
}

// debian returns the Debian package of a shared library, by the naming rule of Debian's policy (section 8.1), or an empty
// string.
func debian(library string) string {
	if name := libraries[library]; name != "" {
		return name
	}
	stem, version, _ := strings.Cut(library, ".so")
	version = strings.TrimPrefix(version, ".")
	if ofDrivers.MatchString(library) || version == "" {
		return ""
	}
	if digitBefore.MatchString(stem) {
		stem += "-"
	}
	return strings.ReplaceAll(strings.ToLower(stem+version), "_", "-")
}

// notThere returns the remedy for a failure whose output says that a shared library or a program is missing, or an empty
// string. system are the environment's Debian packages.
func notThere(system []string, output string) string {
	var what, name string
	if m := noLibrary.FindStringSubmatch(output); m != nil {
		what, name = m[1], debian(m[1])
	} else if m := noProgram.FindStringSubmatch(output); m != nil {
		what, name = m[1], programs[m[1]]
	} else if m := noTool.FindStringSubmatch(output); m != nil {
		what = strings.ToLower(strings.Join(m[1:], ""))
		name = programs[what]
	} else if m := noHeader.FindStringSubmatch(output); m != nil {
		if what, name = m[1], headers[m[1]]; name == "" {
			return fmt.Sprintf("Find the package of Debian that has %s, usually one whose name ends in -dev, at "+
				"https://packages.debian.org/file:%s, and add it to system_packages in pipeline.yaml", what, what)
		}
	}
	if name == "" {
		return ""
	}
	names := strings.Fields(name)
	if strings.Contains(output, "import cv2") { // which needs more than the first missing library
		names = []string{"libgl1", "libglib2.0-0"}
	}
	here := "Without an engine: sudo apt-get install " + strings.Join(names, " ")
	missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(system, name) })
	if len(missing) == 0 {
		return here
	}
	return fmt.Sprintf("Write system_packages: [%s] into pipeline.yaml, for the package of Debian that has %s. %s",
		strings.Join(slices.Concat(system, missing), ", "), what, here)
}

// SystemNext returns the remedy for a failed installation of Debian packages, derived from apt's output, or an empty string.
func SystemNext(said string) string {
	if m := notFound.FindStringSubmatch(said); m != nil {
		return fmt.Sprintf("The image's release of Debian does not have %s: find its name there at https://packages.debian.org, and "+
			"correct system_packages in pipeline.yaml", m[1])
	}
	if strings.Contains(said, "apt-get: not found") {
		return "The image has no apt: use one that is made from Debian, or leave system_packages out and use an image that has them"
	}
	return ""
}
