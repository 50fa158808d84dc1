"""Find an application that answers its health check where nobody asks for it.

usage: elsewhere.py FILE PORT PATH told|untold

Runs beside the application. It ends when something listens on PORT where it can be reached from
outside, and writes FILE when one other socket has answered PATH with success for three seconds:
one on the loopback interface, or, if the application was not told PORT, one on another port. A
port that merely opens first is not enough, nor is one that answers every path, as for metrics.
"""

import http.client
import ipaddress
import secrets
import struct
import sys
import time

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
LISTEN = "0A"
STEADY = 3
# Libraries and the engine's name server have such ports of the loopback interface.
HELPERS = 32768


def address(words: str) -> Address:
    """Read the kernel's notation: 32-bit words in the byte order of the machine."""
    raw = b"".join(struct.pack("=I", int(words[i : i + 8], 16)) for i in range(0, len(words), 8))
    found = ipaddress.ip_address(raw)
    return getattr(found, "ipv4_mapped", None) or found


def listening() -> set[tuple[Address, int]]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as lines:
                rows = [line.split() for line in lines][1:]
        except FileNotFoundError:
            continue
        for row in rows:
            if row[3] == LISTEN:
                words, port = row[1].split(":")
                found.add((address(words), int(port, 16)))
    return found


def answers(at: Address, port: int, path: str) -> bool:
    hosts = [str(at)]
    if at.is_unspecified:
        hosts = ["127.0.0.1", "::1"]
    for host in hosts:
        connection = http.client.HTTPConnection(host, port, timeout=2)
        try:
            connection.request("GET", path)
            if 200 <= connection.getresponse().status < 300:
                return True
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
    return False


def main() -> None:
    file, wanted, path, told = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4] == "told"
    impossible = "/openstack-rca-" + secrets.token_hex(8)
    seen: dict[tuple[Address, int], int] = {}
    while True:
        sockets = listening()
        if any(port == wanted and not at.is_loopback for at, port in sockets):
            return
        asked = {
            (at, port)
            for at, port in sockets
            if port == wanted or not told and not (at.is_loopback and port >= HELPERS)
        }
        seen = {
            (at, port): seen.get((at, port), 0) + 1
            for at, port in asked
            if answers(at, port, path) and (port == wanted or not answers(at, port, impossible))
        }
        if any(count > STEADY for count in seen.values()):
            with open(file, "w") as out:
                out.write("yes\n")
            return
        time.sleep(1)


main()
