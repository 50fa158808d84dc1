//go:build !race

package release

// step is how many points of a crash are passed over.
const step = 1
