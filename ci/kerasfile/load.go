package kerasfile

import _ "embed" // load_model.py

// LoadScript is a Python program that loads a .keras file with the package that the file
// names, in safe mode, and says both versions: `python load_model.py FILE`.
//
//go:embed load_model.py
var LoadScript []byte
