// Package join puts the images of several platforms of one build into one OCI image index. Each image
// was built and proven by a run of its own, on an engine of its platform; the reports of these runs are the
// proof. What was built of something else is refused.
package join

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/registry"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Input is what is joined.
type Input struct {
	// Images are references by digest, repository@sha256:..., in any order; those of the proofs when empty.
	Images []string
	// Proofs are the runs that built them, and perhaps others.
	Proofs []Proof
	// Platforms are those that the index must have, such as linux/arm64: no more and no fewer.
	Platforms []string
	// Environment is that of the call: images that were proven for another one are refused.
	Environment string
	// Open opens a repository for reading and writing.
	Open func(imageref.Repository) (registry.Repository, error)
	// Permit is the gate's for changes by the image stage.
	Permit policy.Permit
}

// Proof is the run that built an image.
type Proof struct {
	// Name is where its report is, for messages.
	Name string
	Run  *verdict.Run
	// Refused is why that run proves nothing of its image; empty if it does.
	Refused string
}

// Result is the verdict on an index.
type Result struct {
	Stage verdict.Stage
	// Reference is repository@sha256:... of the index; the zero value unless the stage passed.
	Reference imageref.Reference
	// Manifest is the index as it is in the registry; nil unless the stage passed.
	Manifest []byte
	// Members are the images in it, in its order.
	Members []Member
}

// Member is an image of an index.
type Member struct {
	// Platform is such as linux/arm64, Digest sha256:... of the image.
	Platform, Digest string
	Proof            Proof

	reference imageref.Reference
	from      v1.Descriptor
	config    *v1.ConfigFile
}

// Run reads the images from their registry, compares them, and pushes the index that has them all. It always
// returns a result with a judged stage. Running it again pushes nothing.
func Run(in Input) *Result {
	result := &Result{Stage: verdict.Stage{Name: verdict.Image}}
	j := &joint{in: in, result: result}
	references := j.references()
	repository, err := j.open(references)
	if err != nil {
		j.problem(Unreadable, "%v", err)
	} else if len(references) > 0 {
		j.read(repository, references)
		j.platforms()
		j.prove()
		j.compare()
	}
	if len(j.problems) == 0 {
		j.push(repository)
	}
	result.Stage.Judge(j.problems...)
	if result.Stage.Verdict != verdict.Pass {
		result.Reference, result.Manifest = imageref.Reference{}, nil
	}
	return result
}

// joint is one run of this package.
type joint struct {
	in     Input
	result *Result
	// given is how many images were named.
	given    int
	problems []*verdict.Problem
}

func (j *joint) problem(code verdict.Code, format string, args ...any) {
	j.problems = append(j.problems, verdict.Problemf(code, format, args...))
}

// references are the images by digest and in one repository. Others are problems.
func (j *joint) references() []imageref.Reference {
	images := j.in.Images
	if len(images) == 0 {
		for _, proof := range j.in.Proofs {
			if proof.Run.Image != "" && !slices.Contains(images, proof.Run.Image) {
				images = append(images, proof.Run.Image)
			}
		}
	}
	j.given = len(images)
	if len(j.in.Platforms) == 0 {
		j.problem(WrongPlatforms, "image.platforms in pipeline.yaml is empty")
	} else if len(images) < 2 {
		j.problem(WrongPlatforms, "images given: %d; image.platforms has %s", len(images), strings.Join(j.in.Platforms, ", "))
	}
	var all []imageref.Reference
	for _, image := range images {
		reference, err := imageref.ParsePinned(image)
		switch {
		case err != nil:
			j.problem(NotByDigest, "%v", err)
		case len(all) > 0 && reference.Repository != all[0].Repository:
			j.problem(OtherRepository, "%s is not in %s, where %s is", image, all[0].Repository, all[0].Digest)
		default:
			all = append(all, reference)
		}
	}
	return all
}

// open opens the repository of the images.
func (j *joint) open(all []imageref.Reference) (registry.Repository, error) {
	if len(all) == 0 {
		return registry.Repository{}, nil
	}
	return j.in.Open(all[0].Repository)
}

// read reads manifest and configuration of each image.
func (j *joint) read(from registry.Repository, all []imageref.Reference) {
	for _, reference := range all {
		found, err := from.Read(reference.Digest)
		if err != nil {
			j.problem(Unreadable, "%s: %v", reference.Digest, err)
			continue
		}
		if found.MediaType.IsIndex() {
			j.problem(OfIndex, "%s is an index", reference.Digest)
			continue
		}
		image, err := found.Image()
		if err != nil {
			j.problem(Unreadable, "%s: %v", reference.Digest, err)
			continue
		}
		config, err := image.ConfigFile()
		if err != nil {
			j.problem(Unreadable, "%s: %v", reference.Digest, err)
			continue
		}
		j.result.Members = append(j.result.Members, Member{
			Platform: config.OS + "/" + config.Architecture, Digest: reference.Digest, reference: reference, from: found.Descriptor, config: config,
		})
	}
	slices.SortFunc(j.result.Members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Platform, b.Platform), cmp.Compare(a.Digest, b.Digest))
	})
}

// platforms demands each platform once.
func (j *joint) platforms() {
	seen := map[string]string{}
	for _, m := range j.result.Members {
		switch before, twice := seen[m.Platform]; {
		case twice:
			j.problem(PlatformTwice, "%s and %s are both of %s", before, m.Digest, m.Platform)
		case len(j.in.Platforms) > 0 && !slices.Contains(j.in.Platforms, m.Platform):
			j.problem(WrongPlatforms, "%s is of %q, and image.platforms has %s", m.Digest, m.Platform, strings.Join(j.in.Platforms, ", "))
		}
		seen[m.Platform] = m.Digest
	}
	if len(j.result.Members) < max(j.given, 2) {
		return // it was said, and what could not be read may be what is missing
	}
	for _, platform := range j.in.Platforms {
		if seen[platform] == "" {
			j.problem(WrongPlatforms, "no image is of %s", platform)
		}
	}
}

// prove finds the run that built each image.
func (j *joint) prove() {
	for i := range j.result.Members {
		m := &j.result.Members[i]
		if proof, why := j.proofOf(*m); why != "" {
			j.problem(Unproven, "%s (%s): %s", m.Digest, m.Platform, why)
		} else {
			m.Proof = proof
		}
	}
}

// proofOf is the proof of an image, or why no report proves it.
func (j *joint) proofOf(m Member) (Proof, string) {
	why := fmt.Sprintf("none of %d reports is of the run that built it", len(j.in.Proofs))
	for _, proof := range j.in.Proofs {
		run := proof.Run
		if run.ImageDigest != m.Digest {
			continue
		}
		stage := run.Stage(verdict.Image)
		switch {
		case proof.Refused != "":
			why = proof.Name + ": " + proof.Refused
		case stage == nil || stage.Verdict != verdict.Pass:
			why = proof.Name + ": its image stage did not pass"
		case run.Environment != j.in.Environment:
			why = fmt.Sprintf("%s: it was proven for %s, and is joined for %s", proof.Name, run.Environment, j.in.Environment)
		case run.ModelSHA256 != m.label(imageref.LabelModelSHA256) || run.Commit != m.label(imageref.LabelRevision):
			why = proof.Name + ": it names another model or commit than the image"
		default:
			return proof, ""
		}
	}
	return Proof{}, why
}

func (m Member) label(name string) string { return m.config.Config.Labels[name] }

// compare demands that all images were made of the same: model, commit, source, and what tasks get from an
// image. The base image may be another one, as each platform has its own.
func (j *joint) compare() {
	if len(j.result.Members) == 0 {
		return
	}
	first := j.result.Members[0]
	for _, one := range []struct {
		code       verdict.Code
		what, name string
	}{{OtherModel, "model sha256", imageref.LabelModelSHA256}, {OtherCommit, "commit", imageref.LabelRevision}} {
		for _, m := range j.result.Members {
			switch value := m.label(one.name); {
			case value == "":
				j.problem(one.code, "%s (%s) names no %s", m.Digest, m.Platform, one.what)
			case value != first.label(one.name) && first.label(one.name) != "":
				j.problem(one.code, "%s %s of %s, and %s of %s", one.what, first.label(one.name), first.Platform, value, m.Platform)
			}
		}
	}
	for _, m := range j.result.Members[1:] {
		if differ := differences(first.config.Config, m.config.Config); len(differ) > 0 {
			j.problem(OtherConfiguration, "%s and %s differ in %s", first.Platform, m.Platform, strings.Join(differ, ", "))
		}
		if differ := variables(first.config.Config, m.config.Config); len(differ) > 0 {
			j.result.Stage.Warn(WarnVariables, "%s and %s differ in %s", first.Platform, m.Platform, strings.Join(differ, ", "))
		}
		if a, b := first.Proof.Run, m.Proof.Run; a != nil && b != nil && a.Tree != b.Tree {
			j.problem(OtherConfiguration, "%s and %s were built from different sources (%s and %s)", first.Platform, m.Platform, a.Tree, b.Tree)
		}
	}
}

// tell adds what the index has to the stage.
func (j *joint) tell() {
	stage := &j.result.Stage
	table := &verdict.Table{Columns: []string{"Platform", "Image", "Proven by the run of", "On"}}
	for _, m := range j.result.Members {
		stage.Add(m.Platform, m.Digest)
		run := m.Proof.Run
		table.Rows = append(table.Rows, []string{m.Platform, m.Digest, run.Started.UTC().Format(time.DateTime), run.Runner})
	}
	first := j.result.Members[0]
	stage.Add("model sha256", first.label(imageref.LabelModelSHA256))
	stage.Add("commit", first.label(imageref.LabelRevision))
	stage.Blocks = append(stage.Blocks, verdict.Block{Title: "What the index has", Table: table, Answer: true})
}
