package kerasfile

import _ "embed" // load.py

// loader loads a .keras file with the package that saved it, in safe mode.
//
//go:embed load.py
var loader []byte
