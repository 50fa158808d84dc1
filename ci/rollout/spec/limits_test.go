package spec

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFargateMemory(t *testing.T) {
	for cpu, want := range map[int][3]int{
		256: {3, 512, 2048}, 512: {4, 1024, 4096}, 1024: {7, 2048, 8192}, 2048: {13, 4096, 16384}, 4096: {23, 8192, 30720},
		8192: {12, 16384, 61440}, 16384: {12, 32768, 122880}, 32768: {3, 61440, 249856},
	} {
		sizes := FargateMemory(cpu)
		require.Len(t, sizes, want[0], cpu)
		assert.Equal(t, []int{want[1], want[2]}, []int{sizes[0], sizes[len(sizes)-1]})
		sizes[0] = 0
		assert.Equal(t, want[1], FargateMemory(cpu)[0], "a caller cannot change the table")
	}
	assert.Len(t, FargateCPU(), 8)
	assert.Empty(t, FargateMemory(257))
}
