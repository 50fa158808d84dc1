#!/usr/bin/env bash
# github.com/google/go-containerregistry v0.22.1 (crane) and oras.land/oras-go/v2 v2.7.0 beside github.com/containerd/platforms v0.2.1.
#
# An index may have an image for amd64, which runs everywhere, and one for amd64/v3, for newer processors. Asked for linux/amd64, containerd
# leaves v3 alone: to it amd64 means v1. go-containerregistry and oras-go take "no variant" for "any variant", and the first manifest that
# fits. If v3 comes first, a tool built on one of them copies, signs, scans or compares another image than the one that a host with
# containerd starts, and where there is v3 only it finds an image that the host cannot start. The order within the index decides.
#
# Ask for the digest of one manifest, or look at every manifest of the index.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"

	"github.com/containerd/platforms"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	orasremote "oras.land/oras-go/v2/registry/remote"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

var wanted = oci.Platform{OS: "linux", Architecture: "amd64"}

func main() {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	for i, variants := range [][]string{{"", "v3"}, {"v3", ""}, {"v3"}} {
		index := v1.ImageIndex(empty.Index)
		for _, variant := range variants {
			config := &v1.ConfigFile{OS: wanted.OS, Architecture: wanted.Architecture, Variant: variant}
			index = mutate.AppendManifests(index, mutate.IndexAddendum{
				Add:        must(mutate.ConfigFile(empty.Image, config)),
				Descriptor: v1.Descriptor{Platform: config.Platform()},
			})
		}
		reference := must(name.ParseReference(fmt.Sprintf("%s/app:%d", host, i)))
		if err := remote.WriteIndex(reference, index); err != nil {
			panic(err)
		}
		manifests := must(index.IndexManifest()).Manifests
		named := func(digest string) string {
			for _, m := range manifests {
				if m.Digest.String() == digest {
					return m.Platform.String()
				}
			}
			return "none"
		}
		fmt.Printf("index of %q: containerd %s, crane %s, oras %s\n", variants, named(byContainerd(manifests)),
			named(byCrane(reference)), named(byOras(host, reference)))
	}
}

// byContainerd chooses as containerd does when it is told the platform: the best that its matcher accepts.
func byContainerd(manifests []v1.Descriptor) string {
	matcher, digest, best := platforms.Only(wanted), "", oci.Platform{}
	for _, m := range manifests {
		has := oci.Platform{OS: m.Platform.OS, Architecture: m.Platform.Architecture, Variant: m.Platform.Variant}
		if matcher.Match(has) && (digest == "" || matcher.Less(has, best)) {
			digest, best = m.Digest.String(), has
		}
	}
	return digest
}

func byCrane(reference name.Reference) string {
	image := must(remote.Image(reference, remote.WithPlatform(v1.Platform{OS: wanted.OS, Architecture: wanted.Architecture})))
	return must(image.Digest()).String()
}

func byOras(host string, reference name.Reference) string {
	repository := must(orasremote.NewRepository(host + "/app"))
	repository.PlainHTTP = true
	options := oras.DefaultResolveOptions
	options.TargetPlatform = &wanted
	found, err := oras.Resolve(context.Background(), repository, reference.Identifier(), options)
	if err != nil {
		panic(err)
	}
	return found.Digest.String()
}
GO
cat >go.mod <<'MOD'
module example.org/program

go 1.26

require (
	github.com/containerd/platforms v0.2.1
	github.com/google/go-containerregistry v0.22.1
	github.com/opencontainers/image-spec v1.1.1
	oras.land/oras-go/v2 v2.7.0
)
MOD
go mod tidy 2>tidy || { cat tidy; exit 1; }
seen=$(go run .)
echo "$seen"
[ "$seen" = 'index of ["" "v3"]: containerd linux/amd64, crane linux/amd64, oras linux/amd64
index of ["v3" ""]: containerd linux/amd64, crane linux/amd64/v3, oras linux/amd64/v3
index of ["v3"]: containerd none, crane linux/amd64/v3, oras linux/amd64/v3' ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
