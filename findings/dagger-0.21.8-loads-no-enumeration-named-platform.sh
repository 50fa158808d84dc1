#!/usr/bin/env bash
# Dagger 0.21.8, Go SDK. Needs its CLI and an engine of this version.
#
# A module's enumeration is namespaced by the module's name, so two modules may each have an enumeration Level. With the name of a scalar of
# Dagger's own API, such as Platform, it is not: the module does not load, and the message speaks of an enumeration that cannot be resolved
# in Dagger's core, not of a name that is taken. An object of that name loads. dagger/dagger#6952 describes conflicts after namespacing.
set -euo pipefail
dagger version | grep -q '^dagger v0\.21\.8 ' || {
	echo "needs dagger v0.21.8"
	exit 2
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
echo '{"name": "named", "engineVersion": "v0.21.8", "sdk": {"source": "go"}}' >dagger.json
printf 'module dagger/named\n\ngo 1.26.1\n' >go.mod

loads() { # NAME KIND: whether a module with a type of that name, an enumeration or an object, loads
	local type="string" value='"a"'
	[ "$2" = enumeration ] || type='struct{ Text string }' value="&$1{Text: \"a\"}"
	{
		printf 'package main\n\ntype %s %s\n\ntype Named struct{}\n\n' "$1" "$type"
		if [ "$2" = enumeration ]; then
			printf 'const A %s = %s\n\nfunc (m *Named) Echo(v %s) string { return string(v) }\n' "$1" "$value" "$1"
		else
			printf 'func (m *Named) Echo() *%s { return %s }\n' "$1" "$value"
		fi
	} >main.go
	local says=loads
	dagger --silent functions >functions.log 2>&1 || says=$(grep -o 'could not resolve enum def [A-Za-z]*' functions.log || tail -n 1 functions.log)
	echo "$2 $1: $says"
}
found=$(
	loads Level enumeration
	loads Platform enumeration
	loads Platform object
)
echo "$found"
[ "$found" = "enumeration Level: loads
enumeration Platform: could not resolve enum def Platform
object Platform: loads" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
