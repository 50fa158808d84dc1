package native

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// rustSettings matches the host's variables that locate and select rustup's toolchains.
var rustSettings = regexp.MustCompile(`^(?:PATH|HOME|CARGO_HOME|RUSTUP_HOME|RUSTUP_TOOLCHAIN)=`)

// compilers are the directories of the host's compilers that are not among the system's: those of Rust, if the host has
// any. A build that does not find one downloads it. The programs that rustup puts on the path need the user's own HOME,
// which no step has, so these are the directories behind them.
func compilers(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	rustc := exec.CommandContext(ctx, "rustc", "--print", "sysroot")
	// Not the working directory: a rust-toolchain.toml there would choose, or download, another compiler.
	rustc.Dir = "/"
	rustc.Env = slices.DeleteFunc(os.Environ(), func(pair string) bool { return !rustSettings.MatchString(pair) })
	rustc.WaitDelay = time.Second
	out, err := rustc.Output()
	dir := filepath.Join(strings.TrimSpace(string(out)), "bin")
	if err != nil || !filepath.IsAbs(dir) || !isProgram(filepath.Join(dir, "cargo")) || strings.Contains(dir, ":") {
		return nil
	}
	return []string{dir}
}
