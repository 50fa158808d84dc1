package rollout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// objectActions are the actions that operations of S3 need, from "Required permissions for
// Amazon S3 API operations" in its user guide. The parts of an upload are objects put.
var objectActions = map[string]string{
	"HeadObject": "s3:GetObject", "GetObject": "s3:GetObject", "PutObject": "s3:PutObject", "DeleteObject": "s3:DeleteObject",
	"CreateMultipartUpload": "s3:PutObject", "UploadPart": "s3:PutObject", "CompleteMultipartUpload": "s3:PutObject",
	"AbortMultipartUpload": "s3:AbortMultipartUpload", "ListMultipartUploads": "s3:ListBucketMultipartUploads",
	"ListParts":     "s3:ListMultipartUploadParts",
	"ListObjectsV2": "s3:ListBucket", "HeadBucket": "s3:ListBucket",
}

// operationsIn are the operations of S3 that the sources of a package call.
func operationsIn(t *testing.T, directory string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(directory, "*.go"))
	require.NoError(t, err)
	var all []string
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		file, err := parser.ParseFile(token.NewFileSet(), path, content, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(node ast.Node) bool {
			call, is := node.(*ast.CallExpr)
			if !is {
				return true
			}
			selector, is := call.Fun.(*ast.SelectorExpr)
			if !is {
				return true
			}
			// Pages are asked for by s3.NewOPERATIONPaginator, everything else of the client.
			name := selector.Sel.Name
			if page, of := strings.CutPrefix(name, "New"); of && strings.HasSuffix(page, "Paginator") {
				name = strings.TrimSuffix(page, "Paginator")
			}
			if on, is := selector.X.(*ast.SelectorExpr); is && on.Sel.Name == "client" || name != selector.Sel.Name {
				all = append(all, name)
			}
			return true
		})
	}
	return all
}

func TestThePublisherMayDoWhatTheLedgerCallsAndNothingElse(t *testing.T) {
	operations := operationsIn(t, "../ledger")
	require.Contains(t, operations, "CompleteMultipartUpload")
	require.Contains(t, operations, "ListObjectsV2")
	var called, allowed []string
	for _, operation := range operations {
		require.Contains(t, objectActions, operation)
		called = append(called, objectActions[operation])
	}
	for _, statement := range publishStatements("aws", testJournal) {
		allowed = append(allowed, statement.Action...)
	}
	slices.Sort(called)
	assert.ElementsMatch(t, slices.Compact(called), allowed)
}
