//go:build race

package release

// step is how many points of a crash are passed over: the race detector makes each ten
// times as slow, and finds nothing new in the next one.
const step = 9
