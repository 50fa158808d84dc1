package ensure

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
)

// Text renders the changes as a diff against what exists. A created resource is one line
// here; the plan of the same run has its members.
func (s *State) Text() string {
	var b strings.Builder
	count := map[Action]int{}
	for _, c := range s.Changes() {
		count[c.Action]++
		sign := map[Action]string{Keep: " ", Adopt: " ", Create: "+", Update: "~", Refuse: "!"}[c.Action]
		whose := ""
		if c.Owner != "" {
			whose = " (" + string(c.Owner) + ")"
		}
		fmt.Fprintf(&b, "%s %s %s %s%s\n", sign, c.Action, c.Kind, strconv.Quote(c.Name), whose)
		if c.Note != "" {
			fmt.Fprintf(&b, "    %s %s\n", sign, c.Note)
		}
		for _, d := range c.Differences {
			fmt.Fprintf(&b, "    %s %s: %s -> %s\n", sign, d.Path, value(d.Have), value(d.Want))
		}
		for _, d := range c.Kept {
			fmt.Fprintf(&b, "      %s: %s stays, the plan says %s\n", d.Path, value(d.Have), value(d.Want))
		}
	}
	fmt.Fprintf(&b, "\nPlan: %d to create, %d to change, 0 to delete, %d as they are.\n",
		count[Create], count[Update], count[Keep]+count[Adopt])
	return b.String()
}

// value renders one side of a difference on one line.
func value(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case string:
		return strconv.Quote(v)
	case map[string]any, []any:
		return strings.Join(strings.Fields(string(wire.Indent(v))), " ")
	default:
		return fmt.Sprint(v)
	}
}
