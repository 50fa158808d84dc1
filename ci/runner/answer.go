package runner

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// UVLock is the requirements file that pins uv, the installer of every environment, by
// version and hash.
//
//go:embed uv.lock
var UVLock string

// serviceClient sends requests to services beside this process: without a proxy, and without following redirects.
var serviceClient = &http.Client{
	Timeout:       5 * time.Second,
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Answers requests a URL once. It returns nil if a complete response with a status below 400 arrives within 5 seconds, as
// Service.Ready requires.
func Answers(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("request %s: %w", url, err)
	}
	response, err := serviceClient.Do(request)
	if err != nil {
		return fmt.Errorf("request %s: %w", url, err)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return fmt.Errorf("request %s: %w", url, err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("request %s: status %d", url, response.StatusCode)
	}
	return nil
}
