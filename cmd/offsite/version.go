package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// version is set by the build (-X main.version=...), and by nothing else.
var version string

type versionAnswer struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Changed  bool   `json:"changed"`
	Go       string `json:"go"`
	System   string `json:"system"`
}

func (v versionAnswer) text(w io.Writer) {
	fmt.Fprintf(w, "offsite %s", v.Version)
	if v.Revision != "" {
		fmt.Fprintf(w, ", revision %.12s", v.Revision)
		if v.Changed {
			fmt.Fprint(w, " with changes")
		}
	}
	fmt.Fprintf(w, ", %s, %s\n", v.Go, v.System)
}

func (a *app) versionVerb() verb {
	return verb{
		use: "version", short: "say which version this is",
		example: "  offsite version --json",
		exits:   []int{exitDone, exitUsage},
		run: func(context.Context, []string) (answer, error) {
			v := versionAnswer{Version: cmp.Or(version, "unreleased"), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
			if info, ok := debug.ReadBuildInfo(); ok {
				if version == "" && info.Main.Version != "" && info.Main.Version != "(devel)" {
					v.Version = info.Main.Version
				}
				for _, s := range info.Settings {
					switch s.Key {
					case "vcs.revision":
						v.Revision = s.Value
					case "vcs.modified":
						v.Changed = s.Value == "true"
					}
				}
			}
			return v, nil
		},
	}
}
