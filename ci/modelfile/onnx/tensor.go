package onnx

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/openstack-rca/openstack-rca/ci/modelfile"
)

// element is a type of numbers: its name, the bits of one, and whether what it holds is learned.
type element struct {
	name    string
	bits    int64
	learned bool
}

// elements are the types of tensors by their number in onnx.proto. One that is newer than these
// is taken, and its size is not compared.
var elements = map[uint64]element{
	1: {"float32", 32, true}, 2: {"uint8", 8, true}, 3: {"int8", 8, true}, 4: {"uint16", 16, true}, 5: {"int16", 16, true},
	6: {"int32", 32, false}, 7: {"int64", 64, false}, 8: {"string", 0, false}, 9: {"bool", 8, false}, 10: {"float16", 16, true},
	11: {"float64", 64, true}, 12: {"uint32", 32, false}, 13: {"uint64", 64, false}, 14: {"complex64", 64, true},
	15: {"complex128", 128, true}, 16: {"bfloat16", 16, true}, 17: {"float8e4m3fn", 8, true}, 18: {"float8e4m3fnuz", 8, true},
	19: {"float8e5m2", 8, true}, 20: {"float8e5m2fnuz", 8, true}, 21: {"uint4", 4, true}, 22: {"int4", 4, true}, 23: {"float4e2m1", 4, true},
}

// tensor reads a TensorProto and compares its bytes with its dimensions. own says that it is of
// the model's own graph, weights that its numbers count as learned.
func (m *model) tensor(message modelfile.Message, own, weights bool) error {
	if m.tensors++; m.tensors > maxTensors {
		return fmt.Errorf("%w: it has more than %d tensors", modelfile.ErrProto, maxTensors)
	}
	var name string
	var kind, location uint64
	raw := int64(-1)
	dims := make([]uint64, 0, 4)
	dim := func(v uint64) error {
		if dims = append(dims, v); len(dims) > maxDims {
			return fmt.Errorf("%w: a tensor has more than %d dimensions", modelfile.ErrProto, maxDims)
		}
		return nil
	}
	place := map[string]string{}
	err := message.Fields(func(f modelfile.Field) (err error) {
		switch f.Number {
		case 1:
			if f.Type == protowire.BytesType {
				return f.Message.Varints(dim)
			}
			return dim(f.Value)
		case 2:
			kind = f.Value
		case 8:
			name, err = f.Message.Text(maxName)
		case 9:
			raw = f.Message.Len()
		case 13:
			err = entry(f.Message, place)
		case 14:
			location = f.Value
		}
		return err
	})
	if err != nil {
		return err
	}
	if own && len(m.initial) < maxTensors {
		m.initial[name] = true
	}
	shown := modelfile.Clip(name, 80)
	count, fits := product(dims)
	if !fits {
		m.report.Invalid("the tensor %s has more elements than any file can hold", shown)
		return nil
	}
	e, knownType := elements[kind]
	if kind == 0 {
		m.report.Invalid("the tensor %s has no type", shown)
		return nil
	}
	size := int64(-1)
	if knownType && e.bits > 0 {
		if count > math.MaxInt64/e.bits {
			m.report.Invalid("the tensor %s has more elements than any file can hold", shown)
			return nil
		}
		size = (count*e.bits + 7) / 8
	}
	if weights && e.learned && m.report.Parameters < math.MaxInt64-count {
		m.report.Parameters += count
	}
	switch {
	case location == 1:
		m.outside(shown, place, size)
	case len(place) > 0:
		m.report.Invalid("the tensor %s is said to be in another file and in this one", shown)
	case raw >= 0 && size >= 0 && raw != size:
		m.report.Invalid("the tensor %s holds %d bytes, its %d elements of %s take %d", shown, raw, count, e.name, size)
	}
	return nil
}

// product is the number of elements of a tensor's dimensions, if any file can hold as many.
func product(dims []uint64) (count int64, fits bool) {
	n := uint64(1)
	for _, d := range dims {
		high, low := bits.Mul64(n, d)
		if high != 0 || low > math.MaxInt64 {
			return 0, false
		}
		n = low
	}
	return int64(n), true //nolint:gosec // bounded above
}

// entry reads a StringStringEntryProto.
func entry(message modelfile.Message, into map[string]string) error {
	var key, value string
	err := message.Fields(func(f modelfile.Field) (err error) {
		switch f.Number {
		case 1:
			key, err = f.Message.Text(maxName)
		case 2:
			value, err = f.Message.Text(maxName)
		}
		return err
	})
	if len(into) < 100 {
		into[key] = value
	}
	return err
}

// outside checks a tensor that lies in another file; size is its length in bytes, negative when
// unknown.
func (m *model) outside(name string, place map[string]string, size int64) {
	file := place["location"]
	shown := modelfile.Clip(file, 80)
	have, travels := m.in.Beside[file]
	number := func(key string, absent int64) int64 {
		text, ok := place[key]
		if !ok {
			return absent
		}
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return -1
		}
		return v
	}
	offset := number("offset", 0)
	length := number("length", max(size, 0))
	switch {
	case file == "" || file == "." || file == ".." || strings.ContainsAny(file, `/\:`+"\x00"):
		m.report.Refuse(ExternalData, "the tensor %s is in %q, which is not the name of a file beside the model", name, shown)
	case !travels || file == m.in.Name:
		m.report.Refuse(ExternalData, "the tensor %s is in %s, which is not among the files of the model", name, shown)
	case offset < 0 || length < 0 || offset > have || length > have-offset:
		m.report.Refuse(ExternalData, "the tensor %s is at offset %s with length %s in %s, which has %d bytes", name,
			modelfile.Clip(place["offset"], 40), modelfile.Clip(place["length"], 40), shown, have)
	case size >= 0 && length != size:
		m.report.Refuse(ExternalData, "the tensor %s has %d bytes in %s, its elements take %d", name, length, shown, size)
	default:
		m.external[file] = true
	}
}

// value reads a ValueInfoProto: a name with a type.
func value(message modelfile.Message) (modelfile.Tensor, error) {
	var t modelfile.Tensor
	err := message.Fields(func(f modelfile.Field) (err error) {
		switch f.Number {
		case 1:
			t.Name, err = f.Message.Text(maxName)
		case 2:
			err = f.Message.Fields(func(f modelfile.Field) error { return typed(f, &t) })
		}
		return err
	})
	return t, err
}

// typed reads a TypeProto's content.
func typed(f modelfile.Field, t *modelfile.Tensor) error {
	switch f.Number {
	case 4:
		t.Type = "sequence"
	case 5:
		t.Type = "map"
	case 9:
		t.Type = "optional"
	case 1, 8:
		return f.Message.Fields(func(f modelfile.Field) error {
			switch f.Number {
			case 1:
				if t.Type = elements[f.Value].name; t.Type == "" {
					t.Type = fmt.Sprintf("type %d", f.Value)
				}
			case 2:
				return shape(f.Message, t)
			}
			return nil
		})
	}
	return nil
}

// shape reads a TensorShapeProto.
func shape(message modelfile.Message, t *modelfile.Tensor) error {
	var dims []string
	err := message.Fields(func(f modelfile.Field) error {
		dim := "?"
		if len(dims) >= maxDims {
			return fmt.Errorf("%w: a shape has more than %d dimensions", modelfile.ErrProto, maxDims)
		}
		err := f.Message.Fields(func(f modelfile.Field) (err error) {
			switch f.Number {
			case 1:
				dim = strconv.FormatUint(f.Value, 10)
			case 2:
				dim, err = f.Message.Text(maxName)
				dim = modelfile.Clip(dim, 40)
			}
			return err
		})
		dims = append(dims, dim)
		return err
	})
	t.Shape = "[" + strings.Join(dims, ", ") + "]"
	return err
}
