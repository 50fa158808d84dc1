package modelfile

import "github.com/openstack-rca/openstack-rca/ci/verdict"

func failure(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Train, Outcome: verdict.Fail, Meaning: meaning, Remedy: remedy}
}

// The codes for files of every format. Those of one format are in its package.
var (
	FormatRefused = failure("FORMAT_REFUSED",
		"The model file has no format that can be inspected, or another than train.format names. Formats that run code when "+
			"loaded (pickle, HDF5 with Lambda) are never opened.",
		"Save the model in a format that docs/models.md lists, and name the file in train.model; train.allow_formats lets h5, pickle or "+
			"torchscript pass without inspection; they are never published")
	ArchiveInvalid = failure("ARCHIVE_INVALID", "The model file is damaged, or its library did not write it.",
		"Train again and save the model with its own library; check the disk and anything that rewrites the file")
)

// Codes lists them.
func Codes() []verdict.Code { return []verdict.Code{FormatRefused, ArchiveInvalid} }
