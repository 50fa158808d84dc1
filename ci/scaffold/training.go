package scaffold

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/glob"
)

var (
	// trainNames are the usual names of training scripts, most specific first.
	trainNames = []*regexp.Regexp{regexp.MustCompile(`(?i)^(?:train|training|train_.*|.*_train|.*_training|fit)\.py$`),
		regexp.MustCompile(`(?i)[_-]train(?:ing)?[_-]|^train(?:ing)?-|-train(?:ing)?\.py$|^training_`)}
	// prepares matches the name of a script that only prepares the training.
	prepares = regexp.MustCompile(`(?i)data|split|sample|features|config`)
	// saves matches a call that saves a model.
	saves = regexp.MustCompile(`\.save\(|save_model\(|save_pretrained\(|torch\.save\(|save_file\(|joblib\.dump\(|pickle\.dump\(|` +
		`\.dump\(|onnx\.save|log_model\(|ModelCheckpoint\(`)
	fits = regexp.MustCompile(`\.fit\(|\.backward\(\)|xgb\.train\(|lgb\.train\(|Trainer\(`)
	// atOnce matches a line outside of functions and blocks that fits or saves a model: a script without a main guard.
	atOnce = regexp.MustCompile(`(?m)^[A-Za-z_(][^\n]*(?:` + fits.String() + `|` + saves.String() + `)`)
	// runs matches what makes a Python file do something when started.
	runs      = regexp.MustCompile(`(?m)__main__|^[A-Za-z_][\w.]*\(|^(?:with|for|while|try)\b`)
	modeSwap  = regexp.MustCompile(`--mode`)
	mlflowUse = regexp.MustCompile(`(?m)^\s*(?:import|from)\s+mlflow\b`)
	recurrent = regexp.MustCompile(`\b(?:LSTM|GRU|SimpleRNN|RNN|ConvLSTM\w*|Bidirectional)\b`)
	modelFile = regexp.MustCompile(`([^\n]{0,80}?)["']([^"'\n]{1,200}\.` +
		`(keras|h5|hdf5|pkl|pickle|joblib|skops|pt|pth|onnx|safetensors|ubj|lgb))["']`)
	// boosterFile matches what XGBoost or LightGBM saves or loads in a format that the file name does not reveal.
	boosterFile = regexp.MustCompile(`((?:save|load)_model\(` +
		`(?:[^"'\n]{0,80}(?:join|get|getenv)\(\s*(?:["'][^"'\n]*["']|[\w.]+)\s*,\s*)?[rf]?)` +
		`["']([^"'\n]{1,200}\.(json|txt))["']`)
	jsonFile = regexp.MustCompile(`([^\n]{0,80}?)["']([^"'\n]{0,200}(?:metrics|scores|results|evaluation)[^"'\n/]{0,40}\.json)["']`)
	joined   = regexp.MustCompile(`(?:/\s*|join\([^)]*,\s*|joinpath\()[rf]?$`)
	// written matches a call with the name itself as an argument.
	written = regexp.MustCompile(`(?:save\w*|dump|open|write_text|to_json|export|fit|ModelCheckpoint)\((?:[^()"']*,\s*)?(?:\w+\s*=\s*)?[rf]?$`)
	// opens matches a call that reads the file of that name.
	opens = regexp.MustCompile(`(?:\bopen|load\w*|Session)\([rf]?$`)
	held  = regexp.MustCompile(`\{[^{}]*\}`)
	// plainWord matches a command argument that a shell would not change.
	plainWord  = regexp.MustCompile(`^[A-Za-z0-9_./:=,@%+-]+$`)
	assignment = regexp.MustCompile(`^\s*(\w+)=("[^"]*"|'[^']*'|[^\s"']*)\s+(.*)$`)
)

// learning finds out how the project trains, and what the training writes.
type learning struct{ *survey }

// training finds the training command and its output.
func (s learning) training() {
	command, file, why := s.trainCommand()
	if command == nil {
		s.noTraining()
		return
	}
	s.trains = true
	if !slices.Equal(command, config.Default().Train.Command) {
		s.set("train.command", command, "%s", why)
	}
	s.trainFile = file
	s.modelFile(file)
	s.metrics(file)
	s.codeInModels()
}

// codeInModels makes a package in the models directory visible to the training, which by default does not see that directory.
func (s learning) codeInModels() {
	const models = "models/**"
	exclude := slices.Clone(config.Default().Train.Inputs.Exclude)
	at := slices.Index(exclude, models)
	if at < 0 || !slices.ContainsFunc(s.tree.code, func(name string) bool { return strings.HasPrefix(name, "models/") }) {
		return
	}
	exclude = slices.Delete(exclude, at, at+1)
	for _, name := range s.tree.names {
		if pattern := "models/**/*" + path.Ext(name); strings.HasPrefix(name, "models/") && !strings.HasSuffix(name, ".py") &&
			path.Ext(name) != "" && !slices.Contains(exclude, pattern) {
			exclude = append(exclude, pattern)
		}
	}
	s.set("train.inputs.exclude", exclude, "models has code, which the training may import; models themselves stay out")
}

func (s learning) noTraining() {
	for _, name := range s.tree.names {
		if strings.HasSuffix(name, ".ipynb") && !glob.MatchAny(tooling, name) {
			s.unknown("train.command", "move the training into a script that saves the model, and write `train.command` and `train.model`",
				"a training: there is the notebook %s, and nothing that runs without Jupyter", name)
			return
		}
	}
	s.unknown("train.command", "write `train.command: [python, train.py]` and `train.model: models/*.keras`; until then only the tests run",
		"a training: no script is called train.py or saves a model")
}

// trainCommand returns how the training is started, the script if known, and the reason.
func (s learning) trainCommand() (command []string, file, why string) {
	if words := pythonCommand(s.tree.stage().Cmd.Value); words != nil {
		return words, s.scriptOf(words), "the stage of dvc.yaml"
	}
	if main := s.tree.text("main.py"); modeSwap.MatchString(main) && strings.Contains(main, "train") {
		command := []string{"python", "main.py", "--mode", "train"}
		if strings.Contains(main, "--enable-mlflow") {
			return config.Default().Train.Command, "main.py", "" // the default
		}
		return command, "main.py", "main.py has --mode and no --enable-mlflow"
	}
	if words := s.makeTarget(); words != nil {
		return words, s.scriptOf(words), "the target train of the Makefile"
	}
	for _, called := range trainNames {
		for _, name := range s.tree.code {
			if base := path.Base(name); called.MatchString(base) && !prepares.MatchString(base) && s.complete(name) {
				return s.tree.script(name), name, "it trains: " + name
			}
		}
	}
	for _, name := range s.tree.code {
		text := s.tree.text(name)
		if fits.MatchString(text) && saves.MatchString(text) && (strings.Contains(text, "__main__") || atOnce.MatchString(text)) {
			return s.tree.script(name), name, "it fits a model and saves it: " + name
		}
	}
	return nil, "", ""
}

// complete reports whether a file can be the training: it runs on its own, and it or a module that it imports fits or saves a
// model.
func (s *survey) complete(name string) bool {
	text := s.tree.text(name)
	if fits.MatchString(text) || saves.MatchString(text) {
		return runs.MatchString(text) || atOnce.MatchString(text)
	}
	return strings.Contains(text, "__main__") && s.tree.uses(saves)
}

// stage is a stage of dvc.yaml.
type stage struct {
	Cmd  yaml.Node   `yaml:"cmd"`
	Outs []yaml.Node `yaml:"outs"`
}

// stage returns DVC's training stage, or an empty one.
func (t *tree) stage() stage {
	var file struct {
		Stages map[string]stage `yaml:"stages"`
	}
	if yaml.Unmarshal([]byte(t.text("dvc.yaml")), &file) != nil {
		return stage{}
	}
	for _, name := range []string{"train", "training", "train_model", "fit"} {
		if found, ok := file.Stages[name]; ok {
			return found
		}
	}
	return stage{}
}

// makeVariable matches the use of a Makefile variable, makeAssigns its assignment.
var (
	makeVariable = regexp.MustCompile(`\$\((\w+)\)`)
	makeAssigns  = regexp.MustCompile(`(?m)^(\w+)[ \t]*[?:]{0,2}=[ \t]*([^\n#]*)`)
)

var trainTarget = regexp.MustCompile(`(?m)^train(?:ing)?:[^\n=]*\n\t[@-]*([^\n]+)`)

// makeTarget returns the command of a Makefile's train target.
func (s *survey) makeTarget() []string {
	makefile := s.tree.text("Makefile")
	if m := trainTarget.FindStringSubmatch(makefile); m != nil {
		given := map[string]string{} // the interpreter is often a variable
		for _, m := range makeAssigns.FindAllStringSubmatch(makefile, -1) {
			given[m[1]] = strings.TrimSpace(m[2])
		}
		return pythonCommand(expand(makeVariable.ReplaceAllString(m[1], "$${$1}"), given))
	}
	return nil
}

// pythonCommand splits a command that runs Python without a shell, even with variables before it. It returns nil for any
// other.
func pythonCommand(text string) []string {
	if m := assignment.FindStringSubmatch(text); m != nil {
		variable := m[1] + "=" + strings.Trim(m[2], `"'`)
		command := pythonCommand(m[3])
		if command == nil || !plainWord.MatchString(variable) {
			return nil
		}
		return slices.Concat([]string{"env", variable}, slices.DeleteFunc(command, func(w string) bool { return w == "env" }))
	}
	words := strings.Fields(text)
	for _, prefix := range [][]string{{"uv", "run"}, {"poetry", "run"}, {"pdm", "run"}, {"pipenv", "run"}} {
		if len(words) > 2 && slices.Equal(words[:2], prefix) {
			words = words[2:]
		}
	}
	if len(words) < 2 || words[0] != "python" && words[0] != "python3" ||
		slices.ContainsFunc(words, func(w string) bool { return !plainWord.MatchString(w) }) {
		return nil
	}
	words[0] = "python"
	return words
}

// scriptOf returns the source file that a command runs, or "".
func (s *survey) scriptOf(words []string) string {
	for i, word := range words {
		switch {
		case i == 0:
		case words[i-1] == "-m":
			name := strings.ReplaceAll(word, ".", "/")
			for _, candidate := range []string{name + ".py", "src/" + name + ".py", name + "/__main__.py", "src/" + name + "/__main__.py"} {
				if s.tree.has(candidate) {
					return candidate
				}
			}
		case s.tree.has(path.Clean(word)):
			return path.Clean(word)
		}
	}
	return ""
}

// literal is a file name in the code, and the text before it.
type literal struct{ pattern, suffix, in, before string }

// literals returns the file names in the code that match the pattern, grouped by file. If only a part of a path is a literal,
// it becomes a glob.
func (s *survey) literals(first string, patterns ...*regexp.Regexp) (found []literal) {
	order := s.tree.code
	if s.tree.has(first) {
		order = slices.Concat([]string{first}, order)
	}
	for _, name := range order {
		var all [][]string
		for _, pattern := range patterns {
			all = append(all, pattern.FindAllStringSubmatch(s.tree.text(name), -1)...)
		}
		for _, m := range all {
			text := held.ReplaceAllString(strings.TrimPrefix(m[2], "./"), "*")
			if strings.HasPrefix(m[2], "{") && strings.HasPrefix(text, "*/") {
				text = "*" + text // the directory in a variable may be any of several
			}
			in := s.folder(name, m[1])
			text = path.Join(in, text)
			open := joined.MatchString(m[1]) && !strings.Contains(text, "/") && in == ""
			if strings.HasPrefix(text, "/") || strings.Contains(text, "..") || strings.Contains(text, ":") || !plainGlob.MatchString(text) {
				continue
			}
			if !strings.Contains(text, "/") && !written.MatchString(m[1]) && in == "" {
				text = "**/" + text // its location is computed elsewhere
			} else if open {
				text = "**/" + strings.TrimPrefix(text, "**/")
			}
			suffix := ""
			if len(m) > 3 {
				suffix = m[3]
			}
			found = append(found, literal{text, suffix, name, m[1]})
		}
	}
	return found
}

// joinedTo matches a directory that a name is joined to: a literal or a variable.
var joinedTo = regexp.MustCompile(`join\(\s*(?:["']([A-Za-z0-9_.][A-Za-z0-9_./-]*)["']|(\w+))\s*,\s*[rf]?$`)

var (
	// divided matches a path that a name is appended to: BASE / "models" / "x.pkl".
	divided = regexp.MustCompile(`((?:\b\w+|\bPath\([^()\n]*\)(?:\.\w+(?:\(\)|\[\d\])?)*)(?:\s*/\s*["'][^"'\n]*["'])*)\s*/\s*[rf]?$`)
	// quoted matches a literal name, own the file's own directory with its parents.
	quoted = regexp.MustCompile(`^(?:Path\()?["']([^"'\n]{1,200})["']\)?$`)
	own    = regexp.MustCompile(`^(?:pathlib\.)?Path\(__file__\)(?:\.(?:resolve|absolute)\(\))?((?:\.parent)+|\.parents\[\d\])$`)
	word   = regexp.MustCompile(`^\w+$`)
	// inQuotes matches a literal that may contain a /.
	inQuotes = regexp.MustCompile(`"[^"]*"|'[^']*'`)
)

// folder returns the directory that an expression before a name evaluates to, such as `variable / name`, from literals and
// the file's own location. It is empty if unknown; the root is ".".
func (s *survey) folder(file, before string) string {
	if m := joinedTo.FindStringSubmatch(before); m != nil {
		if m[1] != "" {
			return path.Clean(m[1])
		}
		return cmp.Or(s.constant(file, m[2]), s.directory(file, m[2], 4))
	}
	if m := divided.FindStringSubmatch(before); m != nil {
		return s.directory(file, m[1], 4)
	}
	return ""
}

// directory evaluates an expression of paths; depth limits the nesting of variables.
func (s *survey) directory(file, expression string, depth int) (dir string) {
	expression = inQuotes.ReplaceAllStringFunc(expression, func(name string) string { return strings.ReplaceAll(name, "/", "\x00") })
	for i, term := range strings.Split(expression, "/") {
		term = strings.ReplaceAll(strings.TrimSpace(term), "\x00", "/")
		m, self := quoted.FindStringSubmatch(term), own.FindStringSubmatch(term)
		switch {
		case m != nil && i > 0 || m != nil && strings.HasPrefix(term, "Path"):
			dir = path.Join(dir, m[1])
		case i > 0:
			return ""
		case self != nil:
			up := strings.Count(self[1], ".parent")
			if _, n, indexed := strings.Cut(self[1], "["); indexed {
				up = int(n[0]-'0') + 1
			}
			for dir = file; up > 0; up-- {
				dir = path.Dir(dir)
			}
		case word.MatchString(term) && depth > 0:
			assigned := regexp.MustCompile(`(?m)^[ \t]*` + term + `(?:[ \t]*:[ \t]*\w+)?[ \t]*=[ \t]*([^\n=]+?)[ \t]*\r?$`)
			all := assigned.FindAllStringSubmatch(s.tree.text(file), -1)
			if len(all) != 1 {
				return "" // assigned elsewhere, or more than once
			}
			if dir = s.directory(file, strings.Replace(all[0][1], "pathlib.", "", 1), depth-1); dir == "" {
				return ""
			}
		default:
			return ""
		}
	}
	return dir
}

// constant returns the relative path in a variable that the file assigns once, or else only one file assigns. It is empty if
// ambiguous.
func (s *survey) constant(file, variable string) string {
	name := regexp.QuoteMeta(variable)
	assigned := regexp.MustCompile(`(?m)^\s*` + name + `(?:\s*:\s*\w+)?\s*=[^=\n][^\n]*`)
	plain := regexp.MustCompile(`=\s*(?:(?:pathlib\.)?Path\(["']([^"'\n]{1,200})["']\)|["']([^"'\n]{1,200})["'])\s*(?:#.*)?$`)
	all := assigned.FindAllString(s.tree.text(file), -1)
	if len(all) == 0 {
		for _, other := range s.tree.code {
			all = append(all, assigned.FindAllString(s.tree.text(other), -1)...)
		}
	}
	if len(all) != 1 {
		return ""
	}
	m := plain.FindStringSubmatch(all[0])
	if m == nil {
		return ""
	}
	folder := path.Clean(m[1] + m[2])
	if strings.HasPrefix(folder, "/") || strings.HasPrefix(folder, "..") {
		return ""
	}
	return folder
}

var plainGlob = regexp.MustCompile(`^[A-Za-z0-9_.*][A-Za-z0-9_./* -]*$`)
