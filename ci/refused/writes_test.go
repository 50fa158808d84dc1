package refused

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestThePathsOfARefusedWriteAreNamed(t *testing.T) {
	for output, want := range map[string]string{
		"PermissionError: [Errno 13] Permission denied: '/app/mlruns'":                              "/app/mlruns",
		"OSError: [Errno 30] Read-only file system: 'app.log'":                                      "app.log",
		"mkdir: cannot create directory ‘/home/app/.cache’: Permission denied":                      "/home/app/.cache",
		"/app/start.sh: line 3: /app/out.txt: Permission denied":                                    "/app/out.txt",
		"sh: 1: cannot create /app/out.txt: Read-only file system":                                  "/app/out.txt",
		"Error: EACCES: permission denied, mkdir '/app/.next/cache'":                                "/app/.next/cache",
		"open /var/lib/x/wal: permission denied":                                                    "/var/lib/x/wal",
		"WARNING: mkdir -p failed for path /home/app/.m: [Errno 13] Permission denied: '/home/app'": "/home/app",
		"(sqlite3.OperationalError) unable to open database file":                                   UnknownPath,
		"error returned from database: (code: 8) attempt to write a readonly database":              UnknownPath,
		// Not of a file.
		"PermissionError: [Errno 13] Permission denied": "",
		"s3: AccessDenied: permission denied for user":  "",
		"wrote /app/data/x":                             "",
		"":                                              "",
	} {
		assert.Equal(t, want, strings.Join(Writes(output), " "), output)
	}
	assert.Len(t, Writes(strings.Repeat("[Errno 13] Permission denied: '/a/b'\n", 3)), 1, "each is named once")
	for _, key := range []string{"image.volumes", "image.vars", "/tmp"} {
		assert.Contains(t, Write.Remedy, key)
	}
}
