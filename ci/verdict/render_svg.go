package verdict

import (
	"bytes"
	"errors"
	"fmt"
)

// svgStyle styles a chart in a file of its own, on a white background.
const svgStyle = `<style>text{font:12px sans-serif;fill:#1b2330}.soft{fill:#5a6577}.end{text-anchor:end}.mid{text-anchor:middle}` +
	`.grid{stroke:#dfe3ea}.axis{stroke:#5a6577}polyline{fill:none;stroke-width:2}.s0{stroke:#2f5bd0}.s1{stroke:#c2410c}.s2{stroke:#0f766e}` +
	`.s3{stroke:#7e3fb0}.s4{stroke:#a16207}.s5{stroke:#be185d;stroke-dasharray:4 2}circle{fill:#fff}</style>` +
	`<rect width="100%" height="100%" fill="#fff"/>`

// SVG renders the chart as a standalone file. A chart without points is an error.
func (c *LineChart) SVG(title string) ([]byte, error) {
	view, ok := lineChart("chart", title, c)
	if !ok {
		return nil, errors.New("draw chart: it has no point")
	}
	var out bytes.Buffer
	if err := page.ExecuteTemplate(&out, "lines-svg", view); err != nil {
		return nil, fmt.Errorf("draw chart: %w", err)
	}
	drawn := bytes.Replace(out.Bytes(), []byte("<svg "), []byte(`<svg xmlns="http://www.w3.org/2000/svg" `), 1)
	return append(bytes.Replace(drawn, []byte("</desc>"), []byte("</desc>"+svgStyle), 1), '\n'), nil
}
