package main

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTheVersionIsThatOfTheBuild(t *testing.T) {
	tagged := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}
	assert.Equal(t, "v1.2.3", version(tagged, true))
	checkout := &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123abc"}, {Key: "vcs.modified", Value: "true"},
	}}
	assert.Equal(t, "development at 0123abc, modified", version(checkout, true))
	assert.Equal(t, "development", version(&debug.BuildInfo{}, true))
	assert.Equal(t, "unknown", version(nil, false))
}
