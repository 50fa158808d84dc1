package analysis

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Condition is a comparison of a measurement, such as value > 1.5*old + 0.01.
type Condition struct {
	text string
	// old is set if it needs the old version's value.
	old bool
}

// maxCondition limits the length of a condition.
const maxCondition = 300

// ParseCondition parses a condition of numbers, value, old, arithmetic (+ - * /), comparisons, && || ! and parentheses. It
// returns nil for empty text.
func ParseCondition(text string) (*Condition, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	if len(text) > maxCondition {
		return nil, fmt.Errorf("it has %d characters, at most %d are read", len(text), maxCondition)
	}
	r := &reader{rest: text, value: 1, old: 1}
	result, err := r.all()
	if err != nil {
		return nil, fmt.Errorf("%q is not a condition: %w", text, err)
	}
	if _, isBool := result.(bool); !isBool {
		return nil, fmt.Errorf("%q is a number; a condition compares, such as value < 0.01", text)
	}
	return &Condition{text: text, old: r.needsOld}, nil
}

// String returns the condition as written.
func (c *Condition) String() string { return c.text }

// NeedsOld reports whether the condition compares with the old version.
func (c *Condition) NeedsOld() bool { return c != nil && c.old }

// errNoNumber: a calculation has no result, such as 0/0.
var errNoNumber = errors.New("it gives no number")

// Holds evaluates the condition. It returns an error if there is no result, such as after a division by zero.
func (c *Condition) Holds(value, old float64) (bool, error) {
	result, err := (&reader{rest: c.text, value: value, old: old}).all()
	if err != nil {
		return false, err
	}
	holds, _ := result.(bool)
	return holds, nil
}

// reader evaluates a condition while parsing it.
type reader struct {
	rest       string
	value, old float64
	needsOld   bool
}

// operators are the binary operators by precedence, as in Go.
var operators = [][]string{{"||"}, {"&&"}, {"==", "!=", "<=", ">=", "<", ">"}, {"+", "-"}, {"*", "/"}}

var (
	word   = regexp.MustCompile(`^[A-Za-z_]\w*`)
	number = regexp.MustCompile(`^(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?`)
)

func (r *reader) all() (any, error) {
	x, err := r.level(0)
	if err == nil && strings.TrimSpace(r.rest) != "" {
		err = fmt.Errorf("%q does not fit there", strings.TrimSpace(r.rest))
	}
	return x, err
}

// level parses operands and operators of one precedence and higher.
func (r *reader) level(n int) (any, error) {
	if n == len(operators) {
		return r.operand()
	}
	x, err := r.level(n + 1)
	for err == nil {
		op := r.take(operators[n]...)
		if op == "" {
			return x, nil
		}
		var y any
		if y, err = r.level(n + 1); err == nil {
			x, err = apply(op, x, y)
		}
	}
	return nil, err
}

// take consumes the first of the texts that comes next, and returns it, or an empty string.
func (r *reader) take(texts ...string) string {
	r.rest = strings.TrimLeft(r.rest, " \t\r\n")
	for _, text := range texts {
		if rest, is := strings.CutPrefix(r.rest, text); is {
			r.rest = rest
			return text
		}
	}
	return ""
}

func (r *reader) operand() (any, error) {
	switch op := r.take("(", "!", "-"); op {
	case "(":
		x, err := r.level(0)
		if err == nil && r.take(")") == "" {
			err = errors.New("a parenthesis is not closed")
		}
		return x, err
	case "!", "-":
		x, err := r.operand()
		if err != nil {
			return nil, err
		}
		if holds, isBool := x.(bool); isBool && op == "!" {
			return !holds, nil
		}
		if n, isNumber := x.(float64); isNumber && op == "-" {
			return -n, nil
		}
		return nil, fmt.Errorf("%s does not fit there", op)
	}
	name := r.take(word.FindString(r.rest))
	switch name {
	case "":
	case "value":
		return finite(r.value)
	case "old":
		r.needsOld = true
		return finite(r.old)
	default:
		return nil, fmt.Errorf("there is no %s; there are value and old", name)
	}
	if digits := r.take(number.FindString(r.rest)); digits != "" {
		return strconv.ParseFloat(digits, 64)
	}
	return nil, errors.New("only numbers, value, old, + - * /, comparisons, && || ! and parentheses are read")
}

func apply(op string, x, y any) (any, error) {
	a, isBool := x.(bool)
	b, both := y.(bool)
	n, isNumber := x.(float64)
	m, alsoNumber := y.(float64)
	switch {
	case isBool && both && op == "&&":
		return a && b, nil
	case isBool && both && op == "||":
		return a || b, nil
	case !isNumber || !alsoNumber:
		return nil, fmt.Errorf("%s does not fit there", op)
	}
	switch op {
	case "+":
		return finite(n + m)
	case "-":
		return finite(n - m)
	case "*":
		return finite(n * m)
	case "/":
		return finite(n / m)
	case "<":
		return n < m, nil
	case "<=":
		return n <= m, nil
	case ">":
		return n > m, nil
	case ">=":
		return n >= m, nil
	case "==":
		return n == m, nil
	case "!=":
		return n != m, nil
	default:
		return nil, fmt.Errorf("%s does not fit there", op)
	}
}

func finite(x float64) (any, error) {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil, errNoNumber
	}
	return x, nil
}
