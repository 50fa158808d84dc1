package verdict

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAChartAsAFile(t *testing.T) {
	chart := LineChart{X: "tests", Y: "seconds", Series: []Series{{Name: "a <b> & c", X: []float64{1, 2, 3}, Y: []float64{1, 2, 4}}}}
	out, err := chart.SVG("Growth")
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(out), `<svg xmlns="http://www.w3.org/2000/svg"`))
	decoder := xml.NewDecoder(strings.NewReader(string(out)))
	for {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err, "a viewer of pictures reads XML, not HTML")
	}

	_, err = (&LineChart{}).SVG("Nothing")
	require.ErrorContains(t, err, "no point")
}
