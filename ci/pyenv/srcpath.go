package pyenv

import (
	"slices"
	"strings"
)

// atStart are the modules of the standard library that Python, pytest and pytest-cov import before the first test:
// sys.modules of a run of pytest 9 on Python 3.10 to 3.13, without those that a file cannot replace.
var atStart = strings.Fields(`
abc argparse array ast base64 bdb binascii bisect bz2 calendar cmd code codecs codeop collections configparser
contextlib copy copyreg csv dataclasses datetime decimal difflib dis email encodings enum fcntl fnmatch functools
genericpath gettext glob grp hashlib heapq html importlib inspect io ipaddress json keyword linecache locale logging
lzma math multiprocessing ntpath numbers opcode operator os pathlib pdb pickle platform posixpath pprint pyexpat queue
quopri random re readline reprlib rlcompleter runpy select selectors shlex shutil signal site socket sqlite3 sre_compile
sre_constants sre_parse stat string struct subprocess sysconfig tempfile textwrap threading token tokenize tomllib
traceback types typing unicodedata unittest urllib uu uuid warnings weakref xml zipfile zipimport zlib`)

// srcHides reports whether src on the path would hide other modules: a module of the standard library, as src/logging.py
// does; or, if src is itself a package, a directory of the root without __init__.py, which Python takes for a package only if
// no other module has its name. Nothing else of the root is hidden, because the root comes before src. names are sorted.
func srcHides(names []string) bool {
	atRoot := map[string]bool{}
	if slices.Contains(names, "src/__init__.py") {
		for _, name := range names {
			folder, _, is := strings.Cut(name, "/")
			if _, regular := slices.BinarySearch(names, folder+"/__init__.py"); is && !regular && strings.HasSuffix(name, ".py") {
				atRoot[folder] = true
			}
		}
	}
	return slices.ContainsFunc(names, func(name string) bool {
		module := topLevel(strings.TrimPrefix(name, "src/"))
		return isSrc(name) && (atRoot[module] || slices.Contains(atStart, module))
	})
}

// topLevel returns the module or package of a file, as imported from the root.
func topLevel(name string) string {
	first, _, _ := strings.Cut(name, "/")
	return strings.TrimSuffix(first, ".py")
}
