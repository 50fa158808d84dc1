package awsclock

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// Ask returns by how much a server's time is ahead of this machine's, from the Date of its
// answer to a HEAD request without credentials. The status of the answer does not matter.
// Half of the time that the request took is subtracted.
func Ask(ctx context.Context, address string) (time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, address, nil)
	if err != nil {
		return 0, fmt.Errorf("ask %q for the time: %w", address, err)
	}
	sent := time.Now()
	answer, err := http.DefaultTransport.RoundTrip(request) // a redirect has a Date too
	if err != nil {
		return 0, fmt.Errorf("ask %s for the time: %w", request.URL.Host, err)
	}
	took := time.Since(sent)
	if err := answer.Body.Close(); err != nil {
		return 0, fmt.Errorf("ask %s for the time: %w", request.URL.Host, err)
	}
	date, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return 0, fmt.Errorf("the answer of %s has no time: %q", request.URL.Host, answer.Header.Get("Date"))
	}
	return date.Sub(sent.Add(took / 2)).Round(time.Second), nil
}
