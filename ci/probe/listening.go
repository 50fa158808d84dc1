package probe

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Listening parses /proc/net/tcp and tcp6 and returns the listening sockets other than the given
// port on all addresses. It is empty if that one is there, or if there are none. High ports of
// the loopback interface are left out: the engine's name server and libraries use them.
func Listening(table string, port int) string {
	var found []string
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		// 0A is TCP_LISTEN.
		if len(fields) < 4 || fields[3] != "0A" {
			continue
		}
		address, ok := socket(fields[1])
		if !ok {
			continue
		}
		if int(address.Port()) == port && address.Addr().IsUnspecified() {
			return ""
		}
		if address.Addr().IsLoopback() && int(address.Port()) != port && address.Port() >= 32768 {
			continue
		}
		if text := address.String(); !slices.Contains(found, text) {
			found = append(found, text)
		}
	}
	return strings.Join(found, ", ")
}

// socket parses the kernel's notation: the address as 32-bit words in the byte order of the
// machine (little endian on the supported ones), then the port.
func socket(text string) (netip.AddrPort, bool) {
	words, port, ok := strings.Cut(text, ":")
	number, err := strconv.ParseUint(port, 16, 16)
	raw, decodeErr := hex.DecodeString(words)
	if !ok || err != nil || decodeErr != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.BigEndian.PutUint32(raw[i:], binary.LittleEndian.Uint32(raw[i:]))
	}
	address, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(address.Unmap(), uint16(number)), ok
}
