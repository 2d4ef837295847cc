package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"offsite/providers/providertest/servers"
)

// tests are the tests of this package, with the servers that they share.
type tests struct{ *testing.M }

func (t tests) Run() int { return servers.Main(t.M, &ceph) }

func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"offsite": main})
}

// TestScripts runs the real program, as a scheduler or a person would.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Condition: func(cond string) (bool, error) {
			if cond != "race" {
				return false, errors.New("unknown condition")
			}
			return raceDetector, nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":   exits,
			"oneJSON": oneJSON,
			"field":   field,
		},
		Setup: func(env *testscript.Env) error {
			env.Vars = append(env.Vars, noSleep)
			env.Setenv("OFFSITE_CONFIG", env.WorkDir+"/etc/offsite.yaml")
			// A holder with a key is unlocked at once; a passphrase takes a second.
			env.Setenv("ZONE", noonZone())
			env.Setenv("HOLDER", "age1jq0nh9p3l98eqet26pwepr5kgm7tlse4d3psr4vtmmx7dq3xgfzqu4nqtr")
			return nil
		},
	})
}

// exits runs a program and wants an exit code: exits 2 offsite run.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("run %s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// oneJSON wants exactly one JSON object in a file: oneJSON stdout.
func oneJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: oneJSON FILE")
	}
	var v map[string]any
	if err := json.Unmarshal([]byte(ts.ReadFile(args[0])), &v); err != nil {
		ts.Fatalf("%s is not one JSON object: %v", args[0], err)
	}
}

// field writes a field of the JSON object that the last program printed to a
// file: field restore_key restore.key.
func field(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: field NAME FILE")
	}
	var v map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	text, ok := v[args[0]].(string)
	if !ok {
		ts.Fatalf("there is no text %s in the answer", args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text+"\n"), 0o600))
}
