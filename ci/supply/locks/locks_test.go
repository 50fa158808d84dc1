package locks

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func read(t *testing.T, name, text string) Content {
	t.Helper()
	found, err := Read(name, []byte(text), false)
	require.NoError(t, err)
	return found
}

func names(packages []Package) string {
	var all []string
	for _, p := range packages {
		all = append(all, p.Name+"="+p.Version)
	}
	return strings.Join(all, " ")
}

func TestReadRequirements(t *testing.T) {
	const hash = "--hash=sha256:aaaa"
	for name, tc := range map[string]struct{ text, packages, loose string }{
		"a lock of uv":                     {"jinja2==3.1.6 \\\n    " + hash + " \\\n    --hash=sha256:b\n    # via flask\nA_b.c==1\n", "jinja2=3.1.6 a-b-c=1", ""},
		"markers and extras":               {"uvicorn[standard]==0.30 ; python_version < '3.12' \\\n  " + hash + "\n", "uvicorn=0.30", ""},
		"three equals signs":               {"x===1.0+local\n", "x=1.0+local", ""},
		"line ends of Windows and a mark":  {"\uFEFFx==1\r\ny==2\r\n", "x=1 y=2", ""},
		"a lower limit":                    {"x>=1\ny==2\n", "y=2", "x>=1"},
		"no version":                       {"x\n", "", "x"},
		"a wildcard":                       {"x==1.*\n", "", "x==1.*"},
		"two clauses":                      {"x==1,<2\n", "", "x==1,<2"},
		"options and comments":             {"--index-url https://u:p@host/simple\n# x\n-c limits.txt\n\n", "", ""},
		"a repository at a branch":         {"x @ git+https://user:word@host/x@main\n", "", "x @ git+https://host/x@main"},
		"a repository at a commit":         {"x @ git+https://host/x@" + strings.Repeat("a", 40) + "\n", "", ""},
		"an editable repository":           {"-e git+https://host/x@main#egg=x\n", "", "-e git+https://host/x@main#egg=x"},
		"the source itself":                {"-e .\n./lib\nlib @ file:./lib\n./x.whl\n", "", ""},
		"an address with the content's":    {"x @ https://host/x.whl " + hash + "\n", "", ""},
		"a wheel at an address":            {"J.2 @ https://u:p@host/a/J.2-2.4.1-py2.py3-none-any.whl " + hash + "\n", "j-2=2.4.1", ""},
		"a wheel without a name before it": {"https://host/a_b-1.0%2Bcpu-cp312-cp312-linux_x86_64.whl#sha256=aa\n", "a-b=1.0+cpu", ""},
		"a source at an address":           {"https://host/scikit-learn-1.5.0rc1.tar.gz?x=y#sha256=aa\n", "scikit-learn=1.5.0rc1", ""},
		"a wheel in the source":            {"./wheels/x-1.0-1-py3-none-any.whl\ny @ file:./y-2.tar.gz\n", "x=1.0 y=2", ""},
		"line ends that only pip knows":    {"x==1 ; python_version > '3'\x0cy==2\u2028z==3\rw==4\u0085v>4\n", "x=1 y=2 z=3 w=4", "v>4"},
		"a password with an @":             {"x @ git+https://user:wo@rd@host/x@main\n", "", "x @ git+https://host/x@main"},
		"an address that is signed":        {"x @ https://host/x.whl?sig=word&y=z\n", "", "x @ https://host/x.whl"},
		"options before an editable one":   {"--pre -e git+https://host/x@main\n--edit=git+https://host/y@main\n", "", "--pre -e git+https://host/x@main --edit=git+https://host/y@main"},
		"an address without the content's": {"x @ https://host/x.tar.gz\n", "", "x @ https://host/x.tar.gz"},
	} {
		t.Run(name, func(t *testing.T) {
			found := read(t, "requirements.txt", tc.text)
			assert.Equal(t, tc.packages, names(found.Packages))
			var loose []string
			for _, l := range found.Loose {
				loose = append(loose, l.Text)
			}
			assert.Equal(t, tc.loose, strings.Join(loose, " "))
			assert.Len(t, found.Packages, found.Counted, "what is understood is counted once")
		})
	}
	found := read(t, "deps/a.txt", "-r base.txt\n--requirement=../b.txt\nx==1 \\\n  "+hash+"\ny==2\n")
	assert.Equal(t, []string{"deps/base.txt", "b.txt"}, found.Includes)
	assert.Equal(t, 2, found.Counted)
	assert.Equal(t, []int{3, 5}, []int{found.Packages[0].Line, found.Packages[1].Line})
	assert.Equal(t, []bool{true, false}, []bool{found.Packages[0].Hashed, found.Packages[1].Hashed})
	for _, text := range []string{"-i https://host/simple -r b.txt", "--req b.txt", "--no-binary :all: --requiremen=b.txt", "-rb.txt", `-r "b.txt"`, "-r=b.txt"} {
		assert.Equal(t, []string{"b.txt"}, read(t, "a.txt", text+"\n").Includes, text)
	}
	assert.Equal(t, []string{"b.txt", "c.txt"}, read(t, "a.txt", "-r b.txt -r c.txt\n").Includes)
	assert.Empty(t, read(t, "a.txt", "--require-hashes\n-c limits.txt\n--pre\n").Includes)
	at := "git+https://user:word@host/x@" + strings.Repeat("a", 40)
	for _, text := range []string{"x @ " + at, "-e " + at + "#egg=x", "x @ https://host/x.whl " + hash, "./x.whl"} {
		nameless := read(t, "a.txt", text+"\n").Nameless
		require.Len(t, nameless, 1, text)
		assert.NotContains(t, nameless[0].Text, "word")
	}
	address := read(t, "a.txt", "-r https://user:word@host/r.txt\n")
	assert.Empty(t, address.Includes)
	assert.Equal(t, "-r https://host/r.txt", address.Loose[0].Text)
	odd := read(t, "a.txt", "x==1 and more words\ny==1\n")
	assert.Greater(t, odd.Counted, len(odd.Packages), "what is not understood is counted")
}

func TestReadTables(t *testing.T) {
	uv := read(t, "uv.lock", `
[[package]]
name = "Demo"
version = "0.1"
source = { editable = "." }
[[package]]
name = "Jinja2"
version = "3.1.6"
source = { registry = "https://pypi.org/simple" }
`)
	assert.Equal(t, "jinja2=3.1.6", names(uv.Packages))
	assert.Equal(t, 1, uv.Counted)
	pylock := read(t, "pylock.train.toml", "[[packages]]\nname = \"x\"\nversion = \"1\"\n[[packages]]\nname = \"self\"\ndirectory = {path = \".\"}\n")
	assert.Equal(t, "x=1", names(pylock.Packages))
	// A version is left out where it does not say what is installed; the content is pinned all the same.
	commit := strings.Repeat("a", 40)
	pylock = read(t, "pylock.toml", "packages = [{name = \"x\", version = \"1\"}, {name = \"self\", directory = {path = \".\"}}]\n")
	assert.Equal(t, "x=1", names(pylock.Packages))
	assert.Equal(t, len(pylock.Packages), pylock.Counted, "an array instead of headers")
	pylock = read(t, "pylock.toml", "[[packages]]\nname = \"a\"\nvcs = {url = \"https://u:p@host/a\", commit-id = \""+commit+"\"}\n"+
		"[[packages]]\nname = \"b\"\narchive = {url = \"https://host/b-2.0-py3-none-any.whl\", hashes = {sha256 = \"00\"}}\n"+
		"[[packages]]\nname = \"c\"\narchive = {path = \"./c.zip\", hashes = {sha256 = \"00\"}}\n"+
		"[[packages]]\nname = \"d\"\nvcs = {url = \"https://host/d\", requested-revision = \"main\"}\n"+
		"[[packages]]\nname = \"e\"\narchive = {url = \"https://host/e-1.zip\"}\n")
	assert.Equal(t, "b=2.0", names(pylock.Packages))
	assert.Equal(t, len(pylock.Packages), pylock.Counted)
	require.Len(t, pylock.Nameless, 2)
	assert.Equal(t, "a @ https://host/a@"+commit, pylock.Nameless[0].Text)
	require.Len(t, pylock.Loose, 2)
	assert.Equal(t, "d", pylock.Loose[0].Text)
	poetry := read(t, "poetry.lock", "[[package]]\nname = \"x\"\nversion = \"1\"\n[[package]]\nname = \"y\"\n")
	assert.Equal(t, "y", poetry.Loose[0].Text)
	for file, entry := range map[string]string{
		"uv.lock":       `source = {registry = "https://host/simple", virtual = ".", type = "directory"}`,
		"poetry.lock":   `directory = "."`,
		"pylock.toml":   `directory = {path = "."}` + "\n" + `wheels = [{url = "https://host/x.whl"}]`,
		"pdm.lock":      `directory = "."`,
		"pylock.x.toml": `source = {type = "directory", virtual = "."}`,
	} {
		crafted := read(t, file, strings.ReplaceAll("[[package]]\nname = \"x\"\nversion = \"1\"\n", "package",
			map[bool]string{true: "packages", false: "package"}[strings.HasPrefix(file, "pylock")])+entry+"\n")
		assert.Equal(t, "x=1", names(crafted.Packages), "%s: it is installed from an index", file)
	}
	ours := read(t, "poetry.lock", "[[package]]\nname = \"x\"\nversion = \"1\"\n[package.source]\ntype = \"directory\"\nurl = \".\"\n")
	assert.Empty(t, ours.Packages)
	for _, wrong := range []string{"[[package", "[[package]]\nversion = \"1\"\n", "package = 1"} {
		_, err := Read("uv.lock", []byte(wrong), false)
		assert.Error(t, err, wrong)
	}
}

func TestReadRequirementsWithTheNameOfALock(t *testing.T) {
	found, err := Read("tools/uv.lock", []byte("uv==0.9.1 --hash=sha256:a\n"), true)
	require.NoError(t, err)
	assert.Equal(t, "uv=0.9.1", names(found.Packages))
}

func TestReadPipfile(t *testing.T) {
	found := read(t, "Pipfile.lock", `{"_meta": {}, "default": {"Jinja2": {"version": "==3.1.6", "hashes": ["sha256:a"]}, "self": {"path": "."}},
		"develop": {"x": {"version": "*"}}}`)
	assert.Equal(t, "jinja2=3.1.6", names(found.Packages))
	assert.Equal(t, "x*", found.Loose[0].Text)
	for entry, want := range map[string]string{
		`{"version": "==2.4.1", "Version": "==9"}`:                                                     "x=2.4.1",
		`{"version": "===2.4.1"}`:                                                                      "x=2.4.1",
		`{"version": "==9", "file": "https://host/x-2.4.1-py3-none-any.whl"}`:                          "x=2.4.1",
		`{"version": "==9", "path": "./x-2.4.1.tar.gz"}`:                                               "x=2.4.1",
		`{"version": "==2.*"}`:                                                                         " loose",
		`{"version": "==9", "git": "https://u:word@host/x", "ref": "main"}`:                            " loose",
		`{"version": "==9", "git": "https://u:word@host/x", "ref": "` + strings.Repeat("a", 40) + `"}`: " nameless",
	} {
		one := read(t, "Pipfile.lock", `{"default": {"x": `+entry+`}}`)
		got := names(one.Packages) + strings.Repeat(" loose", len(one.Loose)) + strings.Repeat(" nameless", len(one.Nameless))
		assert.Equal(t, want, got, entry)
		assert.NotContains(t, fmt.Sprint(one), "word", "no credentials")
	}
	for _, wrong := range []string{"{", `{"default": []}`} {
		_, err := Read("Pipfile.lock", []byte(wrong), false)
		assert.Error(t, err, wrong)
	}
}

func TestBOM(t *testing.T) {
	packages := []Package{{Name: "b", Version: "1+x", File: "b.lock"}, {Name: "a", Version: "2", File: "a.lock"}, {Name: "a", Version: "2", File: "b.lock"}}
	bom, err := BOM("demo", packages)
	require.NoError(t, err)
	assert.Contains(t, string(bom), `"specVersion": "1.6"`)
	assert.Contains(t, string(bom), "pkg:pypi/a@2")
	assert.Equal(t, 2, strings.Count(string(bom), `"purl"`))
	assert.NotContains(t, string(bom), "timestamp")
	var judged cyclonedx.BOM
	require.NoError(t, cyclonedx.NewBOMDecoder(bytes.NewReader(bom), cyclonedx.BOMFileFormatJSON).Decode(&judged))
	var same bytes.Buffer
	encoder := cyclonedx.NewBOMEncoder(&same, cyclonedx.BOMFileFormatJSON).SetPretty(true)
	require.NoError(t, encoder.EncodeVersion(&judged, cyclonedx.SpecVersion1_6))
	assert.Equal(t, same.String(), string(bom), "the library writes what it has read as it was")
	again, err := BOM("demo", packages)
	require.NoError(t, err)
	assert.Equal(t, string(bom), string(again), "the same packages give the same bytes")
	other, err := BOM("demo", packages[:2])
	require.NoError(t, err)
	assert.Equal(t, string(bom), string(other), "a second place of a package changes nothing")
	assert.Equal(t, "scikit-learn", Normal("Scikit_Learn"))
}

func TestRequirementsOfPowerShellAreRead(t *testing.T) {
	content, err := Read("requirements.txt", []byte("\xff\xfes\x00i\x00x\x00=\x00=\x001\x00\r\x00\n\x00"), false)
	require.NoError(t, err)
	require.Len(t, content.Packages, 1)
	assert.Equal(t, "six", content.Packages[0].Name)
	assert.Equal(t, "1", content.Packages[0].Version)
	assert.Empty(t, content.Loose)
}
