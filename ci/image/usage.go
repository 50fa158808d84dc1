package image

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// composeFile is the part of the Compose specification that running one image needs.
type composeFile struct {
	Services map[string]composeService `yaml:"services"`
	Volumes  map[string]struct{}       `yaml:"volumes,omitempty"`
}

type composeService struct {
	Image       string             `yaml:"image"`
	Ports       []string           `yaml:"ports"`
	Restart     string             `yaml:"restart"`
	Volumes     []string           `yaml:"volumes,omitempty"`
	Tmpfs       []string           `yaml:"tmpfs,omitempty"`
	ReadOnly    bool               `yaml:"read_only"`
	CapDrop     []string           `yaml:"cap_drop"`
	CPUs        float64            `yaml:"cpus,omitempty"`
	MemoryLimit string             `yaml:"mem_limit,omitempty"`
	Healthcheck composeHealthcheck `yaml:"healthcheck"`
}

type composeHealthcheck struct {
	Test        []string `yaml:"test"`
	Interval    string   `yaml:"interval"`
	Timeout     string   `yaml:"timeout"`
	Retries     int      `yaml:"retries"`
	StartPeriod string   `yaml:"start_period"`
}

// describer adds to the report how the image is run.
type describer struct{ *session }

// addUsage adds the image's layers to the report, and how to start it by hand.
func (d describer) addUsage(c *candidate) {
	reference := c.reference.String()
	if d.in.Push.real() {
		// The reference after the push; the digest is the same.
		if p, err := d.plan(); err == nil {
			reference = imageref.Reference{Repository: p.repo, Digest: c.digest}.String()
		}
	}
	layers := verdict.Table{Columns: []string{"Layer", "MB"}}
	for i, layer := range c.layers {
		layers.Rows = append(layers.Rows, []string{strconv.Itoa(i+1) + " " + layer.Digest.Hex[:12], megabytes(layer.Size)})
	}
	d.stage.Blocks = append(d.stage.Blocks,
		verdict.Block{Title: "Layers, compressed", Table: &layers},
		verdict.Block{Title: "Run it", Log: d.runCommand(reference)})
	for _, file := range []struct {
		path  string
		write func() ([]byte, error)
	}{
		{"image/compose.yaml", func() ([]byte, error) { return d.compose(reference) }},
		{"image/config.json", func() ([]byte, error) { return json.MarshalIndent(c.config, "", "  ") }},
	} {
		content, err := file.write()
		if err != nil {
			d.stage.Warn(WarnLogs, "write %s: %v", file.path, err)
			continue
		}
		d.stage.Files = append(d.stage.Files, verdict.ReportFile{Path: file.path, Content: content})
	}
}

// runCommand starts the image as production does, with a read-only root file system. It
// repeats the health check for tools that do not read it from the image: Podman does so only
// for Docker's own format.
func (d describer) runCommand(reference string) string {
	c, r := d.in.Config.Image, d.in.Config.Rollout
	check := make([]string, 0, 5)
	for _, part := range healthCommand(c.Port, c.Health) {
		check = append(check, word(part))
	}
	lines := []string{
		"docker run -d --name " + d.in.Config.Name,
		"--restart " + restart,
		fmt.Sprintf("-p %d:%d", c.Port, c.Port),
		"--read-only --cap-drop ALL",
	}
	if r.Memory > 0 {
		lines = append(lines, fmt.Sprintf("--memory %dm", r.Memory))
	}
	if r.CPU > 0 {
		lines = append(lines, "--cpus "+strconv.FormatFloat(cpus(r.CPU), 'g', 4, 64))
	}
	for _, volume := range c.Volumes {
		lines = append(lines, "-v "+word(volumeName(volume)+":"+volume))
	}
	if !slices.Contains(c.Volumes, scratch) {
		lines = append(lines, "--tmpfs "+scratch)
	}
	lines = append(lines,
		fmt.Sprintf("--health-interval %s --health-timeout %s --health-retries %d --health-start-period %s",
			checkInterval, checkTimeout, checkRetries, time.Duration(c.StartBudget)),
		"--health-cmd "+word(strings.Join(check, " ")))
	return strings.Join(append(lines, reference), " \\\n  ")
}

// Settings of the image, the run command and the Compose file.
const (
	restart       = "unless-stopped"
	scratch       = "/tmp"
	checkInterval = "30s"
	checkTimeout  = "10s"
	checkRetries  = 3
)

// plainWord needs no quotes for a shell.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// word quotes one word for a shell, if it needs quotes.
func word(text string) string {
	switch {
	case plainWord.MatchString(text):
		return text
	case strings.Contains(text, "'") && !strings.ContainsAny(text, "\"$`\\!"):
		return `"` + text + `"`
	}
	return quoted([]string{text})
}

func (d describer) compose(reference string) ([]byte, error) {
	c, r := d.in.Config.Image, d.in.Config.Rollout
	check := healthCommand(c.Port, c.Health)
	for i := range check {
		check[i] = strings.ReplaceAll(check[i], "$", "$$") // $NAME would be a variable
	}
	service := composeService{
		Image: reference, Restart: restart, CPUs: cpus(r.CPU),
		Ports:    []string{fmt.Sprintf("%d:%d", c.Port, c.Port)},
		ReadOnly: true, CapDrop: []string{"ALL"},
		Healthcheck: composeHealthcheck{
			Test:     append([]string{"CMD"}, check...),
			Interval: checkInterval, Timeout: checkTimeout, Retries: checkRetries, StartPeriod: time.Duration(c.StartBudget).String(),
		},
	}
	if r.Memory > 0 {
		service.MemoryLimit = fmt.Sprintf("%dm", r.Memory)
	}
	if !slices.Contains(c.Volumes, scratch) {
		service.Tmpfs = []string{scratch}
	}
	file := composeFile{Services: map[string]composeService{d.in.Config.Name: service}, Volumes: map[string]struct{}{}}
	for _, volume := range c.Volumes {
		service.Volumes = append(service.Volumes, volumeName(volume)+":"+volume)
		file.Volumes[volumeName(volume)] = struct{}{}
	}
	file.Services[d.in.Config.Name] = service
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(file); err != nil {
		return nil, fmt.Errorf("write compose file: %w", err)
	}
	return b.Bytes(), encoder.Close()
}

// cpus turns units of 1/1024 vCPU into CPUs.
func cpus(units int) float64 { return float64(units) / 1024 }

func volumeName(path string) string {
	return strings.Trim(notInName.ReplaceAllString(path, "-"), "-.")
}

// notInName matches characters that the name of a volume cannot have.
var notInName = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)
