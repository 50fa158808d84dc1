package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// screen shows a run while it runs: one line for each stage that starts or ends, and on a terminal a
// last line, drawn anew each second, with what runs. The output of the steps goes to a log instead,
// unless it is asked for.
type screen struct {
	// out is standard error; live draws the last line on it, width is how many columns that has.
	out   io.Writer
	live  bool
	width func() int
	// log takes the output of the steps.
	log io.Writer

	mu      sync.Mutex
	running []string
	since   map[string]time.Time
	details map[string]string
	// epochs are those of the training.
	epochs pace
	drawn  bool
	now    func() time.Time
	over   chan struct{}
}

// newScreen returns a screen on out; the output of the steps goes to log.
func newScreen(out, log io.Writer, live bool, width func() int) *screen {
	s := &screen{out: out, live: live, width: width, log: log, since: map[string]time.Time{}, details: map[string]string{}, now: time.Now,
		over: make(chan struct{})}
	if live {
		go s.tick()
	}
	return s
}

func (s *screen) tick() {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-s.over:
			return
		case <-ticker.C:
			s.mu.Lock()
			s.draw()
			s.mu.Unlock()
		}
	}
}

// Close takes the last line away.
func (s *screen) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.over:
	default:
		close(s.over)
	}
	s.clear()
	if log, ok := s.log.(*fileLog); ok {
		log.Close()
	}
}

func (s *screen) clear() {
	if s.drawn {
		_, _ = io.WriteString(s.out, "\r\x1b[K")
		s.drawn = false
	}
}

// draw writes the last line: it must fit, because a line that wraps cannot be taken back.
func (s *screen) draw() {
	select {
	case <-s.over:
		return
	default:
	}
	s.clear()
	if len(s.running) == 0 {
		return
	}
	var parts []string
	for _, name := range s.running {
		part := fmt.Sprintf("%s %s", name, s.now().Sub(s.since[name]).Round(time.Second))
		if detail := s.detail(name); detail != "" {
			part += " (" + detail + ")"
		}
		parts = append(parts, part)
	}
	text := []rune("running: " + strings.Join(parts, ", "))
	if room := s.width() - 1; room < len(text) {
		text = append(text[:max(0, room-1)], '…')
	}
	_, _ = io.WriteString(s.out, string(text))
	s.drawn = true
}

// detail says how far a stage is.
func (s *screen) detail(name string) string {
	if name == stepStages["train"] && s.epochs.last > 0 {
		return s.epochs.text(s.now())
	}
	return s.details[name]
}

// Line shows one line of progress.
func (s *screen) Line(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, rest, _ := strings.Cut(line, ": ")
	switch {
	case rest == "started":
		s.running, s.since[name] = append(s.running, name), s.now()
	case strings.HasPrefix(rest, "still running"):
		if detail := s.detail(name); detail != "" {
			line += " (" + detail + ")"
		}
	case ended.MatchString(rest):
		s.running = slices.DeleteFunc(s.running, func(n string) bool { return n == name })
		delete(s.details, name)
	}
	s.clear()
	_, _ = fmt.Fprintln(s.out, line)
	if s.live {
		s.draw()
	}
}

var (
	ended     = regexp.MustCompile(`^(?:pass|fail|could-not-run|not-run)\b`)
	resolved  = regexp.MustCompile(`^(?:Resolved (\d+) packages?\b|` + runner.Installing + `$)`)
	epochOf   = regexp.MustCompile(`\b[Ee]poch:? \[?(\d{1,6}) ?(?:/|of) ?(\d{1,6})\b`)
	percentOf = regexp.MustCompile(`\[\s*(\d{1,3}%)\]\s*$`)
)

// stepStages are the stages of the steps whose output says how far they are, installStages those of all whose packages
// are installed for one stage alone.
var (
	stepStages    = map[string]string{"pytest": "test", "train": "train"}
	installStages = map[string]string{"pytest": "test", "train": "train", "look for MLflow": "train", "mlflow": "publish", "s3": "publish",
		"load the model": "image", "app": "image"}
)

// Write takes the output of the steps, in whole lines that begin with the step's name.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range bytes.Split(p, []byte("\n")) {
		step, text, found := strings.Cut(string(line), " | ")
		if !found {
			continue
		}
		if name, is := strings.CutPrefix(step, runner.InstallFor); is {
			s.installs(installStages[name], text)
			continue
		}
		stage, known := stepStages[step]
		if !known {
			continue
		}
		if strings.HasSuffix(s.details[stage], " packages") {
			delete(s.details, stage) // what is installed runs
		}
		if m := epochOf.FindStringSubmatch(text); m != nil && step == "train" {
			s.epochs.saw(m[1], m[2], s.now())
		} else if m := percentOf.FindStringSubmatch(text); m != nil {
			s.details[stage] = m[1]
		}
	}
	if s.log == s.out {
		s.clear()
	}
	if _, err := s.log.Write(p); err != nil {
		// A log that cannot be written does not end a step; the report says what the steps left.
		return len(p), nil //nolint:nilerr // as above
	}
	return len(p), nil
}

// installs shows that packages of a stage are being installed, and how many.
func (s *screen) installs(stage, text string) {
	m := resolved.FindStringSubmatch(text)
	if m == nil || stage == "" {
		return
	}
	detail := runner.Installing
	if m[1] != "" {
		detail = strings.Replace(detail, " ", " "+m[1]+" ", 1)
	}
	if s.details[stage] == detail {
		return // for another server of the same stage
	}
	s.details[stage] = detail
	s.clear()
	_, _ = fmt.Fprintf(s.out, "%s: %s\n", stage, detail)
	if s.live {
		s.draw()
	}
}

// openScreen begins to show a run. The output of the steps goes to standard error with --verbose, else
// into the report, if there is one.
func (in *invocation) openScreen() *screen {
	file, _ := in.stderr.(*os.File)
	live := !in.verbose && os.Getenv("CI") == "" && isTerminal(in.stderr)
	var log io.Writer
	switch {
	case in.verbose:
		log = in.stderr
	case in.report != "":
		log = &fileLog{path: filepath.Join(in.report, logName), room: logLimit}
	default:
		log = io.Discard
	}
	in.screen = newScreen(in.stderr, log, live, func() int { return columns(file) })
	return in.screen
}

// closeScreen makes room for the summary.
func (in *invocation) closeScreen() {
	if in.screen != nil {
		in.screen.Close()
	}
}

// logName is the output of the steps in the report directory.
const logName = "log.txt"

// logLimit bounds it.
const logLimit = 256 << 20

// fileLog is a file that is made by the first write, and never grows beyond its limit.
type fileLog struct {
	path  string
	room  int64
	file  *os.File
	ended bool
}

// Write implements io.Writer; it never fails, because a full disk must not end a step.
func (l *fileLog) Write(p []byte) (int, error) {
	if l.file == nil && !l.ended {
		file, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644) //nolint:gosec // a part of the report
		l.file, l.ended = file, err != nil
	}
	if l.ended {
		return len(p), nil
	}
	if l.room -= int64(len(p)); l.room < 0 {
		l.ended = true
		_, _ = l.file.WriteString("… the rest is left out: the log is too large\n")
	} else {
		_, _ = l.file.Write(p)
	}
	return len(p), nil
}

// Close ends the file.
func (l *fileLog) Close() {
	if l.file != nil && !l.ended {
		_ = l.file.Close()
	}
	l.ended = true
}

// isTerminal reports whether a file is a terminal that moves its cursor.
func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && columns(file) > 0
}

// painted colours the verdicts of a summary, for a terminal whose user wants colours.
func painted(summary string) string {
	lines := strings.Split(summary, "\n")
	for i, line := range lines {
		for _, c := range []struct{ begin, colour string }{{"FAIL ", "31"}, {"WARN ", "33"}} {
			if strings.HasPrefix(line, c.begin) {
				lines[i] = "\x1b[" + c.colour + "m" + strings.TrimSpace(c.begin) + "\x1b[0m" + line[len(c.begin)-1:]
			}
		}
	}
	return strings.Join(lines, "\n")
}

// fitted breaks lines between words where a terminal would break them inside of one.
func fitted(text string, width int) string {
	if width < 20 {
		return text
	}
	var out []string
	for _, line := range strings.Split(text, "\n") {
		indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
		rest := []rune(line)
		for len(rest) > width {
			at := width
			for at > len(indent) && rest[at] != ' ' {
				at--
			}
			if at <= len(indent)+2 {
				break // one long word, such as a path, which must stay whole to be copied
			}
			out = append(out, string(rest[:at]))
			rest = append([]rune(indent+"  "), []rune(strings.TrimLeft(string(rest[at:]), " "))...)
		}
		out = append(out, string(rest))
	}
	return strings.Join(out, "\n")
}

// shown is a summary as a terminal takes it.
func (in *invocation) shown(summary string) string {
	summary = fitted(summary, widthOf(in.stdout))
	if wantsColour(in.stdout) {
		summary = painted(summary)
	}
	return summary
}

// widthOf is the width of a terminal, and 0 of everything else.
func widthOf(f any) int {
	if !isTerminal(f) {
		return 0
	}
	return columns(f.(*os.File))
}

// wantsColour reports whether the user takes colours: https://no-color.org.
func wantsColour(f any) bool { return os.Getenv("NO_COLOR") == "" && isTerminal(f) }
