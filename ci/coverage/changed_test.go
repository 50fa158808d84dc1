package coverage

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const patch = `diff --git a/app/a.py b/app/a.py
index 1..2 100644
--- a/app/a.py
+++ b/app/a.py
@@ -2,0 +3,2 @@ def f():
+    x = 1
+++ b/no/name.py
@@ -9 +11 @@
-old
+new
diff --git a/gone.py b/gone.py
deleted file mode 100644
--- a/gone.py
+++ /dev/null
@@ -1,2 +0,0 @@
-a
-b
diff --git "a/\303\251 x.py" "b/\303\251 x.py"
new file mode 100644
--- /dev/null
+++ "b/\303\251 x.py"
@@ -0,0 +1 @@
+only
\ No newline at end of file
diff --git a/data.bin b/data.bin
Binary files a/data.bin and b/data.bin differ
diff --git a/context.py b/context.py
--- a/context.py
+++ b/context.py
@@ -1,3 +1,4 @@
 same

+added
 same
`

func TestParsePatch(t *testing.T) {
	changed, err := ParsePatch(patch)
	require.NoError(t, err)
	assert.Equal(t, Changed{"app/a.py": {3: true, 4: true, 11: true}, "é x.py": {1: true}, "context.py": {3: true}}, changed)
	empty, err := ParsePatch("")
	require.NoError(t, err)
	assert.Empty(t, empty)
	for _, broken := range []string{
		"+++ b/a\n@@ -1 +1,2 @@\n-x\n+y\n", "+++ b/a\n@@ -1 +x @@\n", "+++ b/a\n@@ nonsense\n", "+++ b/a\n@@ -1 +1 @@\nwhat\n",
		"+++ a\n", "+++ \"b/a\n", "+++ b/a\n@@ -1 +99999999999 @@\n", "+++ b/a\n@@ -0,0 +1 @@\n-x\n+y",
	} {
		_, err := ParsePatch(broken)
		assert.ErrorIs(t, err, errPatch, broken)
	}
}

func TestCoverageOfTheChange(t *testing.T) {
	report := parse(t, document("app/a.py:1 1 1 0 0", "app/b.py:1 0"))
	part := Changed{"app/a.py": {2: true, 3: true, 4: true, 9: true}, "app/none.py": {1: true}}.Of(report)
	require.Len(t, part.Files, 1, "a line that is not executable counts as nothing, nor does a file that is not measured")
	assert.Equal(t, Rate{2, 3}, part.Totals().LineRate())
	assert.Equal(t, "4", part.Files[0].Missing())
	assert.Empty(t, Changed{}.Of(report).Files)
}

func FuzzParsePatch(f *testing.F) {
	f.Add(patch)
	f.Fuzz(func(t *testing.T, text string) {
		changed, err := ParsePatch(text)
		if err != nil && changed != nil {
			t.Fatal("half of a difference")
		}
	})
}
