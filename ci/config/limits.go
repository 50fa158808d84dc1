package config

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
)

// limit is what a value may be. Load checks values against it; the schema and the
// documentation show it.
type limit struct {
	// schema holds keywords of JSON schema; of a list or map they apply to each element.
	// A schema may accept more than check does.
	schema string
	// text is a sentence for the documentation; empty when the key's meaning has it.
	text string
	// check reports what is wrong with a value. Its type is that of the key.
	check func(v *validator, key string, value reflect.Value)
}

// checkLimits checks every key of a configuration against its own limit. The path is the
// key's place, such as train.gates[0].min; the key is its name in the table, train.gates[].min.
func (v *validator) checkLimits(path, key string, value reflect.Value) {
	if value.Kind() == reflect.Struct {
		for i := range value.NumField() {
			if name := keyOf(value.Type().Field(i)); name != "" {
				v.checkLimits(join(path, name), join(key, name), value.Field(i))
			}
		}
		return
	}
	if check := limits[key].check; check != nil {
		check(v, path, value)
	}
	if value.Kind() == reflect.Slice && value.Type().Elem().Kind() == reflect.Struct {
		for i := range value.Len() {
			v.checkLimits(at(path, i), key+"[]", value.Index(i))
		}
	}
}

// at is the place of a list's element.
func at(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// text is the limit of a text, or of each text of a list.
func text(check func(v *validator, key, value string)) limit {
	return limit{check: func(v *validator, key string, value reflect.Value) {
		if value.Kind() != reflect.Slice {
			check(v, key, value.String())
			return
		}
		for i := range value.Len() {
			check(v, at(key, i), value.Index(i).String())
		}
	}}
}

// like demands a form, such as "a VPC, such as vpc-0123456789abcdef0".
func like(form *regexp.Regexp, what string) limit {
	l := text(func(v *validator, key, value string) {
		if !form.MatchString(value) {
			v.bad(key, "%q is not %s", value, what)
		}
	})
	l.schema = pattern(form.String())
	return l
}

func pattern(form string) string { return `"pattern": ` + string(encode(form)) }

// withPattern adds a pattern for editors to a limit whose check knows more.
func (l limit) withPattern(form string) limit {
	l.schema = pattern(form)
	return l
}

// optional accepts an empty text, too.
func (l limit) optional() limit {
	check := l.check
	l.check = func(v *validator, key string, value reflect.Value) {
		if value.Len() > 0 {
			check(v, key, value)
		}
	}
	l.schema = strings.Replace(l.schema, `"pattern": "`, `"pattern": "^$|`, 1)
	return l
}

// distinct refuses an element that is in the list already.
func (l limit) distinct() limit {
	check := l.check
	l.check = func(v *validator, key string, value reflect.Value) {
		check(v, key, value)
		for i, element := range value.Interface().([]string) {
			if slices.Contains(value.Interface().([]string)[:i], element) {
				v.bad(at(key, i), "%s is there already", element)
			}
		}
	}
	return l
}

// oneOf demands one of a closed set of texts.
func oneOf(values ...string) limit {
	l := text(func(v *validator, key, value string) {
		if !slices.Contains(values, value) {
			v.bad(key, "%q is not one of %s%s", value, strings.Join(values, ", "), didYouMean(value, values))
		}
	})
	l.schema = `"enum": ` + string(encode(values))
	l.text = "One of `" + strings.Join(values, "`, `") + "`."
	return l
}

func (l limit) optionalOneOf() limit {
	l = l.optional()
	l.schema = strings.Replace(l.schema, `[`, `["",`, 1)
	return l
}

// oneOfNumbers demands one of a closed set of numbers. The message is about the value and the set.
func oneOfNumbers(values []int, message string) limit {
	return limit{
		schema: `"enum": ` + string(encode(values)), text: "One of " + numbers(values) + ".",
		check: func(v *validator, key string, value reflect.Value) {
			if !slices.Contains(values, int(value.Int())) {
				v.bad(key, message, value.Int(), numbers(values))
			}
		},
	}
}

// between demands a number within both bounds.
func between(low, high float64) limit {
	return limit{
		schema: fmt.Sprintf(`"minimum": %s, "maximum": %s`, decimal(low), decimal(high)),
		text:   fmt.Sprintf("%s to %s.", decimal(low), decimal(high)),
		check: number(func(v *validator, key string, value float64) {
			if !(value >= low && value <= high) { // so that NaN is refused, too
				v.bad(key, "%s is not within %s..%s", decimal(value), decimal(low), decimal(high))
			}
		}),
	}
}

// percentage demands 0 or 1 to 100: less than one percent is a fraction by mistake, and a floor that holds nothing.
func percentage() limit {
	whole := between(0, 100)
	return limit{
		schema: whole.schema + `, "not": {"exclusiveMinimum": 0, "exclusiveMaximum": 1}`,
		text:   "0, or 1 to 100.",
		check: number(func(v *validator, key string, value float64) {
			if value > 0 && value < 1 {
				v.bad(key, "%s is less than one percent; it is a percentage, not a fraction: write %s",
					decimal(value), decimal(math.Round(value*1e4)/100))
			} else if !(value >= 0 && value <= 100) {
				v.bad(key, "%s is not within 0..100", decimal(value))
			}
		}),
	}
}

// above demands a number above zero and at most high.
func above(high float64) limit {
	return limit{
		schema: fmt.Sprintf(`"exclusiveMinimum": 0, "maximum": %s`, decimal(high)), text: fmt.Sprintf("Above 0, at most %s.", decimal(high)),
		check: number(func(v *validator, key string, value float64) {
			if !(value > 0 && value <= high) {
				v.bad(key, "%s is not above 0 and at most %s", decimal(value), decimal(high))
			}
		}),
	}
}

// below demands a number from zero to less than high.
func below(high float64) limit {
	return limit{
		schema: fmt.Sprintf(`"minimum": 0, "exclusiveMaximum": %s`, decimal(high)), text: fmt.Sprintf("At least 0, below %s.", decimal(high)),
		check: number(func(v *validator, key string, value float64) {
			if !(value >= 0 && value < high) {
				v.bad(key, "%s is not within 0..%s, the end excluded", decimal(value), decimal(high))
			}
		}),
	}
}

// notNegative demands a number that is zero or more.
func notNegative() limit {
	return limit{schema: `"minimum": 0`, check: number(func(v *validator, key string, value float64) {
		if !(value >= 0) {
			v.bad(key, "%s is negative", decimal(value))
		}
	})}
}

// tenths demands a percentage in the steps that ECS takes.
func tenths(low, high float64) limit {
	l := between(low, high)
	within := l.check
	l.text = strings.TrimSuffix(l.text, ".") + " in steps of 0.1."
	l.check = func(v *validator, key string, value reflect.Value) {
		within(v, key, value)
		if tenth := value.Float() * 10; math.Abs(tenth-math.Round(tenth)) > 1e-6 {
			v.bad(key, "%s is not a multiple of 0.1", decimal(value.Float()))
		}
	}
	return l
}

// lasting demands a time within both bounds.
func lasting(low, high time.Duration) limit {
	return limit{
		text: fmt.Sprintf("%s to %s.", Duration(low), Duration(high)),
		check: func(v *validator, key string, value reflect.Value) {
			if d := time.Duration(value.Int()); d < low || d > high {
				v.bad(key, "%s is not within %s..%s", Duration(d), Duration(low), Duration(high))
			}
		},
	}
}

// entries checks each entry of a map in the order of their names.
func entries(check func(v *validator, key, name, value string)) limit {
	return limit{check: func(v *validator, key string, value reflect.Value) {
		all := value.Interface().(map[string]string)
		for _, name := range slices.Sorted(maps.Keys(all)) {
			check(v, join(key, name), name, all[name])
		}
	}}
}

// number adapts a check to whole numbers, numbers, and numbers that may be absent.
func number(check func(v *validator, key string, value float64)) func(*validator, string, reflect.Value) {
	return func(v *validator, key string, value reflect.Value) {
		switch value.Kind() {
		case reflect.Pointer:
			if !value.IsNil() {
				check(v, key, value.Elem().Float())
			}
		case reflect.Int:
			check(v, key, float64(value.Int()))
		default:
			check(v, key, value.Float())
		}
	}
}

// decimal writes a number without an exponent.
func decimal(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// numbers lists a set of numbers, a long one by its ends.
func numbers(all []int) string {
	if n := len(all); n > 22 {
		return fmt.Sprintf("%d to %d in steps of %d", all[0], all[n-1], all[1]-all[0])
	}
	words := make([]string, 0, len(all))
	for _, n := range all {
		words = append(words, strconv.Itoa(n))
	}
	return strings.Join(words, ", ")
}

// fargateMemory is for the schema; which pairs exist is checked with rollout.cpu.
func fargateMemory() limit {
	cpus := spec.FargateCPU()
	least, most := spec.FargateMemory(cpus[0]), spec.FargateMemory(cpus[len(cpus)-1])
	return limit{schema: fmt.Sprintf(`"minimum": %d, "maximum": %d`, least[0], most[len(most)-1])}
}
