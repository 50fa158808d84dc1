package reachable

import (
	"io"
	"net"
	"testing"
)

// Forward makes a server on 127.0.0.1 reachable from the engine's containers, at the
// address of the engine's own bridge; the test is skipped where there is none.
func Forward(t testing.TB, address string) string {
	t.Helper()
	bridge, err := net.InterfaceByName("dagger0")
	if err != nil {
		t.Skip("the engine's bridge is not on this machine: " + err.Error())
	}
	addresses, err := bridge.Addrs()
	if err != nil || len(addresses) == 0 {
		t.Fatalf("the engine's bridge has no address: %v", err)
	}
	host, _, err := net.ParseCIDR(addresses[0].String())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host.String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer from.Close()
				to, err := net.Dial("tcp", address)
				if err != nil {
					return
				}
				defer to.Close()
				go func() {
					_, _ = io.Copy(to, from) // the other direction notices when it ends
					_ = to.(*net.TCPConn).CloseWrite()
				}()
				_, _ = io.Copy(from, to) // a client that left gets nothing
			}()
		}
	}()
	return listener.Addr().String()
}
