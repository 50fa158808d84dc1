"""Leave out of an image what an application that serves does not read.

usage: slim.py packages TREE   a virtual environment, changed in place
       slim.py base FROM TO    a root file system, copied into an empty directory

Prints one line that says what was left out. Nothing here knows a package by its behaviour: a kind
of file goes only if Python, the dynamic linker and a server have no use for it. The image is
checked afterwards like any other.
"""

import hashlib
import os
import re
import shutil
import stat
import struct
import sys
from collections.abc import Iterator
from typing import BinaryIO

# Sources and headers are for compilers, which an image must not have; maps and stubs are for
# debuggers and editors; archives are for linkers; the programs are for Windows.
SOURCES = (".pyx", ".pxd", ".pxi", ".c", ".cc", ".cpp", ".cxx", ".h", ".hh", ".hpp", ".hxx", ".inc", ".f", ".f90")
OTHERS = (".a", ".la", ".lib", ".exe", ".js.map", ".css.map")
# Packages that compile or link when they run, and so read their own sources.
COMPILING = re.compile(
    r"^(torch|triton|tensorflow|jax|jaxlib|cupy|numba|llvmlite|pycuda|pyopencl|cffi|cython|pythran|tvm|xformers"
    r"|deepspeed|flash_attn|numexpr|nvidia|rmm|cudf|theano|pytensor|taichi|warp|cppyy|gt4py|distutils|setuptools).*"
)
# What the directories of a virtual environment hold for manuals and notebooks.
SHARED = ("share/doc", "share/man", "share/info", "share/jupyter", "etc/jupyter", "include")

# Debian packages without which a server runs: those that install packages, make file systems and
# log people in. Others that need them stay, and keep what they need.
DEBIAN = re.compile(
    r"^(adduser|apt|bsdextrautils|debconf|debian-archive-keyring|dpkg|e2fsprogs|fdisk|gpgv|init-system-helpers"
    r"|libapt-pkg[0-9.]+(t64)?|libext2fs2(t64)?|libfdisk1|libss2|login|login\.defs|logsave|mount|passwd|sqv|sysvinit-utils"
    r"|util-linux-extra|usrmerge|lib[a-z0-9-]+-perl|perl|perl-base|perl-modules-[0-9.]+|libperl[0-9.]+(t64)?|libgdbm-compat4(t64)?)$"
)
# Those that other packages name because they are installed with them, and do not use when they run.
INSTALLERS = {"adduser", "apt", "debconf", "dpkg", "init-system-helpers", "passwd"}
# Directories of a base image that only people, packagers and compilers read.
BASE = re.compile(
    r"^(usr/share/(man|info|zoneinfo/right|locale|i18n|lintian|bug|bash-completion|gtk-doc)"
    r"|usr/share/doc/[^/]+/(?!copyright$).*"
    r"|usr/local/share/(man|doc|info)|usr/local/include|usr/include|var/log|var/cache|var/lib/apt"
    r"|root/\.cache|var/lib/dpkg/info/.*\.(symbols|shlibs|templates|triggers|config|(pre|post)(inst|rm))"
    r"|(usr|usr/local)/lib/python3[^/]*/(test|idlelib|turtledemo|tkinter|ensurepip|pydoc_data)"
    r"|(usr|usr/local)/lib/python3[^/]*/config-[^/]+/.*\.[ao])(/|$)"
)


def files(top: str) -> Iterator[tuple[str, list[str], list[str]]]:
    for directory, names, found in os.walk(top):
        names.sort()
        yield directory, names, sorted(found)


def size_of(top: str) -> int:
    return sum(os.lstat(os.path.join(d, f)).st_size for d, _, found in files(top) for f in found)


def strip(path: str) -> int:
    """Blank the sections of an ELF file that no loader maps: symbols for debuggers. Return their size.

    Nothing moves, so what other tools have moved before stays valid; blanks compress to nothing.
    """
    with open(path, "r+b") as f:
        head = f.read(64)
        if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<H", head, 16)[0] not in (2, 3):
            return 0
        start, size, count = (
            struct.unpack_from("<Q", head, 40)[0],
            *struct.unpack_from("<HH", head, 58),
        )
        names_at = struct.unpack_from("<H", head, 62)[0]
        f.seek(start)
        table = f.read(size * count)
        if size != 64 or len(table) != size * count or names_at >= count:
            return 0
        sections = [struct.unpack_from("<IIQQQQIIQQ", table, i * size) for i in range(count)]
        f.seek(sections[names_at][4])
        names = f.read(sections[names_at][5])
        segments = segments_of(f, head)
        blanked = 0
        for i, (name, kind, flags, _, offset, length, *_) in enumerate(sections):
            text = names[name : names.find(b"\0", name)]
            debugging = kind == 1 and (text.startswith((b".debug_", b".zdebug_")) or text == b".gnu_debugdata")
            symbols = kind == 2 or (kind == 3 and text == b".strtab")
            mapped = flags & 2 or any(offset < end and offset + length > begin for begin, end in segments)
            if (debugging or symbols) and i != names_at and not mapped and length:
                f.seek(offset)
                f.write(bytes(length))
                # An empty section of no type: what reads the table finds no broken symbols.
                f.seek(start + i * size + 4)
                f.write(struct.pack("<IQ", 0, 0))
                f.seek(start + i * size + 32)
                f.write(struct.pack("<Q", 0))
                blanked += length
        return blanked


def segments_of(f: BinaryIO, head: bytes) -> list[tuple[int, int]]:
    """The parts of the file that a loader maps or reads."""
    start = struct.unpack_from("<Q", head, 32)[0]
    size, count = struct.unpack_from("<HH", head, 54)
    f.seek(start)
    table = f.read(size * count)
    found = []
    for i in range(count):
        offset = struct.unpack_from("<Q", table, i * size + 8)[0]
        found.append((offset, offset + struct.unpack_from("<Q", table, i * size + 32)[0]))
    return found


def read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def remove(path: str) -> int:
    """Remove a file or directory, and return its size."""
    if os.path.isdir(path) and not os.path.islink(path):
        size = size_of(path)
        shutil.rmtree(path)
        return size
    size = os.lstat(path).st_size
    os.unlink(path)
    return size


def link_copies(directory: str, names: list[str]) -> int:
    """Make libraries that are the same under several names, as wheels have them, links to one."""
    first: dict[bytes, str] = {}
    saved = 0
    for name in sorted(names, key=lambda n: (-len(n), n)):
        path = os.path.join(directory, name)
        if not os.path.isfile(path) or os.path.islink(path):
            continue
        with open(path, "rb") as f:
            same = first.setdefault(hashlib.sha256(f.read()).digest(), name)
        if same != name:
            saved += remove(path)
            os.symlink(same, path)
    return saved


def test_directories(site: str) -> Iterator[str]:
    """The directories of tests that no code outside of tests imports."""
    found = [os.path.join(d, "tests") for d, names, _ in files(site) if "tests" in names and d != site]
    found = [d for d in found if "/tests/" not in os.path.relpath(d, site)]
    if not found:
        return
    wanted: set[str] = set()
    imports = re.compile(
        r"^\s*(?:from|import)\s+([\w.]*?)\btests\b|^\s*from\s+([\w.]+)\s+import\s+\(?[^#\n]*\btests\b"
        r"|import_module\(\s*[\"']([\w.]*?)\.tests\b",
        re.M,
    )
    for directory, names, contents in files(site):
        names[:] = [n for n in names if n not in {"tests", "__pycache__"}]
        package = os.path.relpath(directory, site).split(os.sep)[0]
        for name in contents:
            if not name.endswith(".py") or name in {"conftest.py", "setup.py"} or name.startswith("test_"):
                continue
            for match in imports.finditer(read(os.path.join(directory, name))):
                module = match[1] or match[2] or match[3] or ""
                # A relative import is of the package itself.
                wanted.add(package if module[:1] in ("", ".") else module.split(".")[0])
    for directory in found:
        if os.path.relpath(directory, site).split(os.sep)[0] not in wanted:
            yield directory


def slim_packages(tree: str) -> dict[str, int]:
    left: dict[str, int] = {}

    def count(what: str, size: int) -> None:
        left[what] = left.get(what, 0) + size

    for name in SHARED:
        if os.path.isdir(os.path.join(tree, name)):
            count("manuals", remove(os.path.join(tree, name)))
    library = os.path.join(tree, "lib")
    sites = [os.path.join(library, n, "site-packages") for n in os.listdir(library) if n.startswith("python3")]
    for site in filter(os.path.isdir, sites):
        for directory in test_directories(site):
            count("tests", remove(directory))
        for directory, _, contents in files(site):
            package = os.path.relpath(directory, site).split(os.sep)[0].lower()
            sources = not COMPILING.match(package)
            # lazy_loader reads stubs when a module is imported.
            stubs = not any(n.endswith(".py") and "attach_stub" in read(os.path.join(directory, n)) for n in contents)
            for name in contents:
                path, low = os.path.join(directory, name), name.lower()
                if os.path.islink(path):
                    continue
                if low.endswith(SOURCES) and sources:
                    count("sources", remove(path))
                elif low.endswith(OTHERS) and (sources or not low.endswith((".a", ".la", ".lib"))):
                    count("other", remove(path))
                elif low.endswith(".pyi") and stubs:
                    count("stubs", remove(path))
                elif ".so" in low and os.path.isfile(path):
                    count("symbols", strip(path))
            count("copies", link_copies(directory, [n for n in contents if ".so" in n]))
    return left


class Debian:
    """The packages of a Debian-like root file system."""

    def __init__(self, root: str) -> None:
        self.status = os.path.join(root, "var/lib/dpkg/status")
        self.info = os.path.join(root, "var/lib/dpkg/info")
        self.stanzas: dict[str, str] = {}
        if os.path.isfile(self.status):
            for stanza in read(self.status).split("\n\n"):
                name = re.search(r"^Package: (\S+)", stanza, re.M)
                if name:
                    self.stanzas[name[1]] = stanza

    def needs(self, package: str) -> list[set[str]]:
        """What a package depends on: each a set of alternatives."""
        found: list[set[str]] = []
        for field in re.findall(r"^(?:Pre-)?Depends: (.*)", self.stanzas[package], re.M):
            for one in field.split(","):
                found.append({re.split(r"[ (:]", part.strip())[0] for part in one.split("|")})
        return found

    def removable(self) -> set[str]:
        """Those of DEBIAN that nothing else needs."""
        gone = set(filter(DEBIAN.match, self.stanzas))
        while True:
            kept = set(self.stanzas) - gone
            needed = {p for k in kept for one in self.needs(k) if not one & (kept | INSTALLERS) for p in one} & gone
            if not needed:
                return gone
            gone -= needed

    def files_of(self, packages: set[str]) -> set[str]:
        """The files that belong to these packages and to no other, without a leading slash."""
        mine: set[str] = set()
        others: set[str] = set()
        for name in os.listdir(self.info) if os.path.isdir(self.info) else []:
            package, _, kind = name.rpartition(".")
            if kind == "list":
                listed = {line.lstrip("/") for line in read(os.path.join(self.info, name)).splitlines()}
                # The lists have the old places of files that a merged /usr has.
                listed |= {"usr/" + path for path in listed if path.startswith(("bin/", "sbin/", "lib"))}
                (mine if package.split(":")[0] in packages else others).update(listed)
            if package.split(":")[0] in packages:
                mine.add("var/lib/dpkg/info/" + name)
        return mine - others

    def without(self, packages: set[str]) -> str:
        """The list of packages without these: a scanner must not report what is not there."""
        return "\n\n".join(s for name, s in self.stanzas.items() if name not in packages) + "\n\n"


def slim_base(source: str, target: str) -> dict[str, int]:
    debian = Debian(source)
    gone = debian.removable()
    mine = debian.files_of(gone)
    left = {"manuals": 0, "packages": 0, "symbols": 0}
    known: dict[tuple[int, int], str] = {}
    times: list[tuple[str, os.stat_result]] = []
    for directory, names, found in files(source):
        inside = os.path.relpath(directory, source)
        times.append((os.path.join(target, inside), os.lstat(directory)))
        for name in [*names, *found]:
            path = os.path.normpath(os.path.join(inside, name))
            origin, copy = os.path.join(source, path), os.path.join(target, path)
            what = os.lstat(origin)
            folder = stat.S_ISDIR(what.st_mode)
            # A program may write to a directory of logs that is there.
            drop = "manuals" if BASE.match(path) and not (folder and path.startswith("var/")) else ""
            if path in mine and not folder:
                drop = drop or "packages"
            if drop:
                left[drop] += size_of(origin) if folder else what.st_size
                if name in names:
                    names.remove(name)
                continue
            make(origin, copy, what, known)
            if stat.S_ISREG(what.st_mode) and (".so" in name or what.st_mode & 0o111):
                left["symbols"] += strip(copy)
            settle(copy, what)
            if stat.S_ISREG(what.st_mode) and "security.capability" in os.listxattr(origin):
                os.setxattr(copy, "security.capability", os.getxattr(origin, "security.capability"))
    for path, what in reversed(times):
        settle(path, what)
    if gone:
        status = os.path.join(target, "var/lib/dpkg/status")
        what = os.lstat(status)
        with open(status, "w", encoding="utf-8") as f:
            f.write(debian.without(gone))
        settle(status, what)
    return left


def make(origin: str, copy: str, what: os.stat_result, known: dict[tuple[int, int], str]) -> None:
    """Copy one file, link or directory, without its content if that is a directory's."""
    if stat.S_ISLNK(what.st_mode):
        os.symlink(os.readlink(origin), copy)
    elif stat.S_ISDIR(what.st_mode):
        os.makedirs(copy, exist_ok=True)
    elif stat.S_ISREG(what.st_mode):
        first = known.setdefault((what.st_dev, what.st_ino), copy)
        if first != copy:
            os.link(first, copy)
        else:
            shutil.copyfile(origin, copy)
    elif stat.S_ISFIFO(what.st_mode) or stat.S_ISCHR(what.st_mode) or stat.S_ISBLK(what.st_mode):
        os.mknod(copy, what.st_mode, what.st_rdev)


def settle(path: str, what: os.stat_result) -> None:
    """Give a copy the owner, mode and time of its origin."""
    os.chown(path, what.st_uid, what.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(what.st_mode):
        os.chmod(path, stat.S_IMODE(what.st_mode))
    os.utime(path, ns=(what.st_mtime_ns, what.st_mtime_ns), follow_symlinks=False)


def main() -> None:
    left = slim_packages(sys.argv[2]) if sys.argv[1] == "packages" else slim_base(sys.argv[2], sys.argv[3])
    print(", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in left.items() if size) or "nothing")


main()
