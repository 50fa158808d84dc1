package analysis

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"strconv"
	"strings"
)

// Condition is a comparison of a measurement, such as value > 1.5*old + 0.01.
type Condition struct {
	text string
	expr ast.Expr
	// old is true if it needs the old version's value.
	old bool
}

// maxCondition bounds the text of a condition.
const maxCondition = 300

// ParseCondition reads a condition: numbers, value, old, arithmetic (+ - * /), comparisons, && || ! and
// parentheses. Empty text is no condition, and returns nil.
func ParseCondition(text string) (*Condition, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	if len(text) > maxCondition {
		return nil, fmt.Errorf("it has %d characters, at most %d are read", len(text), maxCondition)
	}
	expr, err := parser.ParseExpr(text)
	if err != nil {
		return nil, fmt.Errorf("%q is not a condition: %w", text, err)
	}
	c := &Condition{text: text, expr: expr}
	result, err := c.eval(expr, 1, 1)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	if _, isBool := result.(bool); !isBool {
		return nil, fmt.Errorf("%q is a number; a condition compares, such as value < 0.01", text)
	}
	ast.Inspect(expr, func(n ast.Node) bool {
		if name, is := n.(*ast.Ident); is && name.Name == "old" {
			c.old = true
		}
		return true
	})
	return c, nil
}

// String is the condition as it was written.
func (c *Condition) String() string { return c.text }

// NeedsOld reports whether the condition compares with the old version.
func (c *Condition) NeedsOld() bool { return c != nil && c.old }

// errNoNumber: a calculation gave no number, such as 0/0.
var errNoNumber = errors.New("it gives no number")

// Holds evaluates the condition. An error means that it cannot be said, such as after a division by
// zero.
func (c *Condition) Holds(value, old float64) (bool, error) {
	result, err := c.eval(c.expr, value, old)
	if err != nil {
		return false, err
	}
	holds, _ := result.(bool)
	return holds, nil
}

func (c *Condition) eval(expr ast.Expr, value, old float64) (any, error) {
	switch e := expr.(type) {
	case *ast.ParenExpr:
		return c.eval(e.X, value, old)
	case *ast.BasicLit:
		if e.Kind != token.INT && e.Kind != token.FLOAT {
			return nil, fmt.Errorf("%s is not a number", e.Value)
		}
		return strconv.ParseFloat(e.Value, 64)
	case *ast.Ident:
		switch e.Name {
		case "value":
			return finite(value)
		case "old":
			return finite(old)
		}
		return nil, fmt.Errorf("there is no %s; there are value and old", e.Name)
	case *ast.UnaryExpr:
		x, err := c.eval(e.X, value, old)
		if err != nil {
			return nil, err
		}
		switch n := x.(type) {
		case bool:
			if e.Op == token.NOT {
				return !n, nil
			}
		case float64:
			if e.Op == token.SUB {
				return -n, nil
			}
		}
		return nil, fmt.Errorf("%s does not fit there", e.Op)
	case *ast.BinaryExpr:
		return c.binary(e, value, old)
	default:
		return nil, errors.New("only numbers, value, old, + - * /, comparisons, && || ! and parentheses are read")
	}
}

func (c *Condition) binary(e *ast.BinaryExpr, value, old float64) (any, error) {
	x, err := c.eval(e.X, value, old)
	if err != nil {
		return nil, err
	}
	y, err := c.eval(e.Y, value, old)
	if err != nil {
		return nil, err
	}
	if a, isBool := x.(bool); isBool {
		b, both := y.(bool)
		switch {
		case both && e.Op == token.LAND:
			return a && b, nil
		case both && e.Op == token.LOR:
			return a || b, nil
		}
		return nil, fmt.Errorf("%s does not fit there", e.Op)
	}
	a, _ := x.(float64)
	b, isNumber := y.(float64)
	if !isNumber {
		return nil, fmt.Errorf("%s does not fit there", e.Op)
	}
	switch e.Op {
	case token.ADD:
		return finite(a + b)
	case token.SUB:
		return finite(a - b)
	case token.MUL:
		return finite(a * b)
	case token.QUO:
		return finite(a / b)
	case token.LSS:
		return a < b, nil
	case token.LEQ:
		return a <= b, nil
	case token.GTR:
		return a > b, nil
	case token.GEQ:
		return a >= b, nil
	case token.EQL:
		return a == b, nil
	case token.NEQ:
		return a != b, nil
	default:
		return nil, fmt.Errorf("%s does not fit there", e.Op)
	}
}

func finite(x float64) (any, error) {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil, errNoNumber
	}
	return x, nil
}
