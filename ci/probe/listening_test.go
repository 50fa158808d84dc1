package probe_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/probe"
)

func TestListeningSockets(t *testing.T) {
	const header = "  sl  local_address rem_address   st tx_queue\n"
	for sentence, c := range map[string]struct{ table, want string }{
		"as it should be":          {header + "   0: 00000000:1B8B 00000000:0000 0A\n", ""},
		"as it should be, on IPv6": {header + "   0: 00000000000000000000000000000000:1B8B 0:0 0A\n", ""},
		"as it should be and more": {header + "   0: 00000000:2135 0:0 0A\n   1: 00000000:1B8B 0:0 0A\n", ""},
		"on loopback only":         {header + "   0: 0100007F:1B8B 00000000:0000 0A\n", "127.0.0.1:7051"},
		"on another port, twice":   {header + "   0: 00000000:2135 0:0 0A\n   1: 00000000:2135 0:0 0A\n", "0.0.0.0:8501"},
		"a mapped address":         {header + "   0: 0000000000000000FFFF00000100007F:1B8B 0:0 0A\n", "127.0.0.1:7051"},
		"not listening, connected": {header + "   0: 0100007F:1B8B 0100007F:2135 01\n", ""},
		"the engine's name server": {header + "   0: 0B00007F:9BF9 00000000:0000 0A\n", ""},
		"nonsense":                 {"a b c 0A\nx:y z w 0A\n00:1 0 0 0A\n\n", ""},
		"nothing":                  {"", ""},
	} {
		assert.Equal(t, c.want, probe.Listening(c.table, 7051), sentence)
	}
}
