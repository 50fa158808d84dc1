package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheRestOfATrainingIsEstimated(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := &pace{}
	saw := func(epoch, of int, seconds int) string {
		p.saw(fmt.Sprint(epoch), fmt.Sprint(of), now)
		said := p.text(now)
		now = now.Add(time.Duration(seconds) * time.Second)
		return said
	}
	assert.Equal(t, "epoch 1 of 20", saw(1, 20, 60), "nothing is known of the first")
	assert.Equal(t, "epoch 2 of 20, about 19m0s left", saw(2, 20, 0))
	assert.Equal(t, "epoch 2 of 20, about 19m0s left", saw(2, 20, 10), "a second line of the same epoch")
	assert.Equal(t, "epoch 3 of 20, about 18m0s left", saw(3, 20, 10), "the median, not the mean")
	assert.Equal(t, "epoch 4 of 20, about 2m50s left", saw(4, 20, 8))
	assert.Equal(t, "epoch 4 of 20, about 2m40s left", p.text(now), "time passes")
	assert.Equal(t, "epoch 4 of 20", p.text(now.Add(time.Hour)), "what is wrong is not said")
	assert.Equal(t, "epoch 1 of 20", saw(1, 20, 10), "the next fold begins anew")
	assert.Equal(t, "epoch 9 of 10", saw(9, 10, 10))
	assert.Equal(t, "epoch 10 of 10, about 10s left", saw(10, 10, 0))
	p.saw("99999999999999999999", "5", now)
	p.saw("7", "5", now)
	assert.Equal(t, 10, p.last)
}

func TestEpochsAreFoundInTheWaysThatTrainingsPrintThem(t *testing.T) {
	for text, want := range map[string]string{
		"Epoch 3/10": "epoch 3 of 10", "epoch 3/10, loss 0.1": "epoch 3 of 10", "Epoch [3/10], Step 4": "epoch 3 of 10", "Epoch: 3 of 10": "epoch 3 of 10",
		"Epochs 3/10": "", "an epoch of 3/10": "",
	} {
		s := newScreen(&drawing{}, &drawing{}, false, func() int { return 0 })
		_, err := s.Write([]byte("train | " + text + "\n"))
		require.NoError(t, err)
		assert.Equal(t, want, s.detail("train"), text)
	}
}
