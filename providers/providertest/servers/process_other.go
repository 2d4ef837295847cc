//go:build !linux

package servers

import "os/exec"

func endWithUs(*exec.Cmd) {}
