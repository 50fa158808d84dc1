package onnx_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/modelfile/onnx"
)

// field appends a field: a number, or bytes, a text or a nested message.
func field(number int, value any) []byte {
	var b []byte
	switch v := value.(type) {
	case int:
		b = protowire.AppendVarint(protowire.AppendTag(nil, protowire.Number(number), protowire.VarintType), uint64(v))
	case string:
		b = protowire.AppendString(protowire.AppendTag(nil, protowire.Number(number), protowire.BytesType), v)
	case []byte:
		b = protowire.AppendBytes(protowire.AppendTag(nil, protowire.Number(number), protowire.BytesType), v)
	}
	return b
}

func message(fields ...[]byte) []byte { return bytes.Join(fields, nil) }

func tensor(name string, kind int, raw string, dims ...int) []byte {
	fields := [][]byte{field(2, kind), field(8, name)}
	for _, d := range dims {
		fields = append(fields, field(1, d))
	}
	if raw != "" {
		fields = append(fields, field(9, raw))
	}
	return message(fields...)
}

// outside is a tensor of 2 x 3 floats in another file.
func outside(pairs ...string) []byte {
	fields := [][]byte{tensor("W", 1, "", 2, 3), field(14, 1)}
	for i := 0; i < len(pairs); i += 2 {
		fields = append(fields, field(13, message(field(1, pairs[i]), field(2, pairs[i+1]))))
	}
	return message(fields...)
}

func node(operator, domain string, attributes ...[]byte) []byte {
	fields := [][]byte{field(1, "x"), field(2, "y"), field(4, operator)}
	if domain != "" {
		fields = append(fields, field(7, domain))
	}
	for _, a := range attributes {
		fields = append(fields, field(5, a))
	}
	return message(fields...)
}

// value is an input or output of floats: a named and a fixed dimension.
func value(name string) []byte {
	shape := message(field(1, field(2, "N")), field(1, field(1, 4)))
	return message(field(1, name), field(2, field(1, message(field(1, 1), field(2, shape)))))
}

func graph(fields ...[]byte) []byte {
	return message(append([][]byte{field(11, value("x")), field(11, value("W")), field(12, value("p"))}, fields...)...)
}

// model has a matrix W of 2 x 3 floats, unless other fields of the graph are given.
func model(parts ...[]byte) []byte {
	if len(parts) == 0 {
		parts = [][]byte{field(1, node("Gemm", "")), field(1, node("Softmax", "")), field(5, tensor("W", 1, strings.Repeat("w", 24), 2, 3))}
	}
	return message(field(1, 10), field(2, "pytorch"), field(3, "2.9"), field(7, graph(parts...)), opset("", 21))
}

func opset(domain string, version int) []byte {
	return field(8, message(field(1, domain), field(2, version)))
}

func inspect(t testing.TB, content []byte, opts modelfile.Options) *modelfile.Report {
	t.Helper()
	report := &modelfile.Report{}
	err := onnx.Format.Inspect(t.Context(), &modelfile.Input{File: bytes.NewReader(content), Size: int64(len(content)), Name: "m.onnx", Options: opts}, report)
	require.NoError(t, err)
	return report
}

func TestAModelTellsWhatItIs(t *testing.T) {
	r := inspect(t, model(), modelfile.Options{})
	require.Empty(t, r.Problems)
	assert.Equal(t, "pytorch", r.Library)
	assert.Equal(t, "2.9", r.Version)
	assert.EqualValues(t, 6, r.Parameters)
	assert.Equal(t, []modelfile.Tensor{{Name: "x", Type: "float32", Shape: "[N, 4]"}}, r.Inputs, "W has a value, so that it is no input")
	assert.Equal(t, []modelfile.Tensor{{Name: "p", Type: "float32", Shape: "[N, 4]"}}, r.Outputs)
	assert.Equal(t, "2 operators (1 Gemm, 1 Softmax); opset ai.onnx 21; format version 10", r.Facts[0].Value)
	flavor := onnx.Format.Flavor("model.onnx", modelfile.Saved{Versions: map[string]string{"onnx": "1.23.2"}})
	assert.Equal(t, "mlflow.onnx", flavor.Loader)
	assert.Equal(t, "1.23.2", flavor.Values["onnx_version"])
	assert.Equal(t, "model.onnx", flavor.Pyfunc["data"])
	assert.Equal(t, []string{"onnxruntime==1.32.0", "onnx", "numpy"}, onnx.Format.Require(map[string]string{"onnxruntime": "1.32.0"}))
}

func TestWhatIsNotAllowedIsRefused(t *testing.T) {
	nested := node("If", "", message(field(1, "then_branch"), field(6, graph(field(1, node("Run", "com.acme"))))))
	deep := node("Relu", "")
	for range 20 {
		deep = node("If", "", message(field(1, "b"), field(6, graph(field(1, deep)))))
	}
	block := func(more ...[]byte) []byte {
		return field(25, message(field(1, "Block"), message(more...), field(7, node("Relu", "")), field(10, "local")))
	}
	domains := make([][]byte, 10_001)
	for n := range domains {
		domain := fmt.Sprint("d", n)
		domains[n] = message(field(25, message(field(1, "f"), field(10, domain))), field(7, field(1, node("f", domain))))
	}
	weights := modelfile.Options{Beside: map[string]int64{"w.bin": 100, "m.onnx": 500}}
	cases := map[string]struct {
		content []byte
		code    string
		cause   string
	}{
		"an operator of others":         {model(field(1, node("Run", "com.acme"))), "CUSTOM_DOMAIN", "com.acme is not ONNX's own: 1 Run"},
		"one in a branch":               {message(model(field(1, nested)), opset("com.acme", 1)), "CUSTOM_DOMAIN", "com.acme"},
		"no opset":                      {message(field(1, 10), field(7, graph(field(1, node("Gemm", ""))))), "ARCHIVE_INVALID", "no version of it is imported"},
		"an opset of none":              {message(field(1, 10), opset("", 0), field(7, graph(field(1, node("Gemm", ""))))), "ARCHIVE_INVALID", "version 0"},
		"two graphs":                    {message(model(), field(7, graph())), "ARCHIVE_INVALID", "2 graphs"},
		"no graph":                      {message(field(1, 10), opset("", 21)), "ARCHIVE_INVALID", "0 graphs"},
		"an empty graph":                {message(field(1, 10), field(7, field(12, value("p")))), "ARCHIVE_INVALID", "empty"},
		"no output":                     {message(field(1, 10), opset("", 21), field(7, field(1, node("Gemm", "")))), "ARCHIVE_INVALID", "no output"},
		"no version of the format":      {message(opset("", 21), field(7, graph(field(1, node("Gemm", ""))))), "ARCHIVE_INVALID", "0 as the version"},
		"text":                          {[]byte("no protocol buffer at all"), "ARCHIVE_INVALID", "not an ONNX file"},
		"truncated":                     {model()[:60], "ARCHIVE_INVALID", "the message ends before"},
		"graphs in graphs":              {model(field(1, deep)), "ARCHIVE_INVALID", "deeper than 16"},
		"too few bytes":                 {model(field(5, tensor("W", 1, "1234", 2, 3))), "ARCHIVE_INVALID", "holds 4 bytes, its 6 elements of float32 take 24"},
		"dimensions beyond all files":   {model(field(5, tensor("W", 1, "1234", 1<<40, 1<<40))), "ARCHIVE_INVALID", "more elements than any file"},
		"elements beyond all files":     {model(field(5, tensor("W", 1, "1234", 1<<62))), "ARCHIVE_INVALID", "more elements than any file"},
		"a tensor without a type":       {model(field(5, tensor("W", 0, "1234", 1))), "ARCHIVE_INVALID", "has no type"},
		"data outside in no file":       {model(field(5, outside())), "EXTERNAL_DATA", "not the name of a file"},
		"data above":                    {model(field(5, outside("location", "../../etc/passwd"))), "EXTERNAL_DATA", "not the name of a file"},
		"data at an absolute path":      {model(field(5, outside("location", "/etc/passwd"))), "EXTERNAL_DATA", "not the name of a file"},
		"data in a file that is absent": {model(field(5, outside("location", "v.bin"))), "EXTERNAL_DATA", "not among the files of the model"},
		"data in the model itself":      {model(field(5, outside("location", "m.onnx"))), "EXTERNAL_DATA", "not among the files of the model"},
		"data beyond the end":           {model(field(5, outside("location", "w.bin", "offset", "90", "length", "24"))), "EXTERNAL_DATA", "which has 100 bytes"},
		"data before the beginning":     {model(field(5, outside("location", "w.bin", "offset", "-8", "length", "24"))), "EXTERNAL_DATA", "at offset -8"},
		"an offset that is no number":   {model(field(5, outside("location", "w.bin", "offset", "9223372036854775808"))), "EXTERNAL_DATA", "at offset"},
		"a length that does not fit":    {model(field(5, outside("location", "w.bin", "length", "20"))), "EXTERNAL_DATA", "its elements take 24"},
		"data in two places":            {model(field(5, message(tensor("W", 1, strings.Repeat("w", 24), 2, 3), field(13, message(field(1, "location"), field(2, "w.bin")))))), "ARCHIVE_INVALID", "and in this one"},
		"another operator of the file's own domain": {message(model(field(1, node("Run", "local"))), opset("local", 1), block()), "CUSTOM_DOMAIN",
			"local is not ONNX's own: 1 Run"},
		"a default that runs something": {message(model(), block(field(11, message(field(1, "b"), field(6, graph(field(1, node("Run", "com.acme")))))))),
			"CUSTOM_DOMAIN", "com.acme is not ONNX's own: 1 Run"},
		"more domains than can be judged": {message(domains...), "ARCHIVE_INVALID", "more than 10000 domains"},
		"a function that runs something":  {message(model(), field(25, message(field(1, "f"), field(7, node("Run", "com.acme")), field(10, "local")))), "CUSTOM_DOMAIN", "com.acme"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := inspect(t, c.content, weights)
			require.NotEmpty(t, r.Problems)
			var said []string
			for _, p := range r.Problems {
				said = append(said, p.Code.Name+": "+p.Cause)
			}
			all := strings.Join(said, "\n")
			assert.Contains(t, all, c.code+": ")
			assert.Contains(t, all, c.cause)
		})
	}
}

func TestWhatTheContractNamesIsAllowed(t *testing.T) {
	r := inspect(t, message(model(field(1, node("Run", "com.acme"))), opset("com.acme", 1)), modelfile.Options{AllowDomains: []string{"com.acme"}})
	assert.Empty(t, r.Problems)
	own := message(model(field(1, node("Block", "local"))), opset("local", 1), field(25, message(field(1, "Block"), field(7, node("Relu", "")), field(10, "local"))))
	assert.Empty(t, inspect(t, own, modelfile.Options{}).Problems, "the file defines the operator of other operators")
	beside := model(field(1, node("Gemm", "")), field(5, outside("location", "w.bin", "offset", "76", "length", "24")))
	r = inspect(t, beside, modelfile.Options{Beside: map[string]int64{"w.bin": 100}})
	assert.Empty(t, r.Problems)
	assert.Equal(t, "w.bin", r.Facts[1].Value)
}

func TestACancelledLookIsNoVerdict(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	content := model()
	err := onnx.Format.Inspect(ctx, &modelfile.Input{File: bytes.NewReader(content), Size: int64(len(content)), Name: "m.onnx"}, &modelfile.Report{})
	assert.ErrorIs(t, err, context.Canceled)
}

// Whatever the bytes are, looking ends without a panic, and what is accepted names only known domains.
func FuzzInspect(f *testing.F) {
	f.Add(model())
	f.Add(model(field(5, outside("location", "w.bin"))))
	f.Add(message(model(field(1, node("Run", "com.acme"))), opset("com.acme", 1)))
	f.Fuzz(func(t *testing.T, content []byte) {
		r := inspect(t, content, modelfile.Options{})
		if r.OK() {
			assert.Len(t, r.Outputs, max(len(r.Outputs), 1))
			assert.GreaterOrEqual(t, r.Parameters, int64(0))
		}
	})
}
