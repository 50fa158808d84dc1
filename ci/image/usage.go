package image

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// composeFile is as much of the Compose specification as running one image takes.
type composeFile struct {
	Services map[string]composeService `yaml:"services"`
	Volumes  map[string]struct{}       `yaml:"volumes,omitempty"`
}

type composeService struct {
	Image       string             `yaml:"image"`
	Ports       []string           `yaml:"ports"`
	Restart     string             `yaml:"restart"`
	Volumes     []string           `yaml:"volumes,omitempty"`
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

// addUsage puts into the report what the image is made of and how to start it by hand.
func (s *session) addUsage(c *candidate) {
	reference := c.reference
	if s.in.Push.real() {
		// What the image will be called once it is pushed: the digest is the same.
		if p, err := s.plan(); err == nil {
			reference = p.repo.String() + "@" + c.digest
		}
	}
	layers := verdict.Table{Columns: []string{"Layer", "MB"}}
	for i, layer := range c.layers {
		layers.Rows = append(layers.Rows, []string{strconv.Itoa(i+1) + " " + layer.Digest.Hex[:12], megabytes(layer.Size)})
	}
	s.stage.Blocks = append(s.stage.Blocks,
		verdict.Block{Title: "Layers, compressed", Table: &layers},
		verdict.Block{Title: "Run it", Log: s.runCommand(reference)})
	for _, file := range []struct {
		path  string
		write func() ([]byte, error)
	}{
		{"image/compose.yaml", func() ([]byte, error) { return s.compose(reference) }},
		{"image/config.json", func() ([]byte, error) { return json.MarshalIndent(c.config, "", "  ") }},
	} {
		content, err := file.write()
		if err != nil {
			s.stage.Warn(WarnLogs, "write %s: %v", file.path, err)
			continue
		}
		s.stage.Files = append(s.stage.Files, verdict.ReportFile{Path: file.path, Content: content})
	}
}

// runCommand starts the image with the document's options.
func (s *session) runCommand(reference string) string {
	c, r := s.in.Config.Image, s.in.Config.Rollout
	lines := []string{
		"docker run -d --name " + s.in.Config.Name,
		"--restart unless-stopped",
		fmt.Sprintf("-p %d:%d", c.Port, c.Port),
	}
	if r.Memory > 0 {
		lines = append(lines, fmt.Sprintf("--memory %dm", r.Memory))
	}
	if r.CPU > 0 {
		lines = append(lines, "--cpus "+strconv.FormatFloat(cpus(r.CPU), 'g', 4, 64))
	}
	for _, volume := range c.Volumes {
		lines = append(lines, "-v "+volumeName(volume)+":"+volume)
	}
	return strings.Join(append(lines, reference), " \\\n  ")
}

func (s *session) compose(reference string) ([]byte, error) {
	c, r := s.in.Config.Image, s.in.Config.Rollout
	service := composeService{
		Image: reference, Restart: "unless-stopped", CPUs: cpus(r.CPU),
		Ports: []string{fmt.Sprintf("%d:%d", c.Port, c.Port)},
		Healthcheck: composeHealthcheck{
			Test:     append([]string{"CMD"}, healthCommand(c.Port, c.Health)...),
			Interval: "30s", Timeout: "10s", Retries: 3, StartPeriod: time.Duration(c.StartBudget).String(),
		},
	}
	if r.Memory > 0 {
		service.MemoryLimit = fmt.Sprintf("%dm", r.Memory)
	}
	file := composeFile{Services: map[string]composeService{s.in.Config.Name: service}, Volumes: map[string]struct{}{}}
	for _, volume := range c.Volumes {
		service.Volumes = append(service.Volumes, volumeName(volume)+":"+volume)
		file.Volumes[volumeName(volume)] = struct{}{}
	}
	file.Services[s.in.Config.Name] = service
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
	return strings.ReplaceAll(strings.Trim(path, "/"), "/", "-")
}
