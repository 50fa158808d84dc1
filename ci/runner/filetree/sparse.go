package filetree

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// block is the size of the pieces that are looked at; io.Copy writes no larger ones.
const block = 32 << 10

var zeros [block]byte

// sparse writes a new file and leaves blocks of zeros out, so that the holes of what it is
// a copy of stay holes. Close completes the file.
type sparse struct {
	*os.File
	size int64
}

// Write implements io.Writer.
func (s *sparse) Write(p []byte) (int, error) {
	if len(p) == block && bytes.Equal(p, zeros[:]) {
		s.size += block
		_, err := s.Seek(block, io.SeekCurrent)
		return len(p), err
	}
	n, err := s.File.Write(p)
	s.size += int64(n)
	return n, err
}

// Close implements io.Closer.
func (s *sparse) Close() error {
	return errors.Join(s.Truncate(s.size), s.File.Close())
}
