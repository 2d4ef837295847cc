package main

import (
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode/utf16"
)

// serviceSettings are all that a service is made of. None of them is a secret.
type serviceSettings struct {
	system  string // as Go names it
	name    string
	user    string
	program string // absolute
	config  string // absolute
}

// servicePlan is what a system is told about a service.
type servicePlan struct {
	System string
	File   string // what describes the service
	Text   string // of the file

	name                         string
	install, remove, start, stop []step // in their order
	look                         step
	running                      func(said string) bool
	hint                         string // for somebody whom the system refuses
	asks                         bool   // installing asks for the user's password
}

// step is one command of the system.
type step struct {
	words   []string
	mayFail bool // it undoes what may not be there
}

func do(words ...string) step { return step{words: words} }

func try(words ...string) step { return step{words: words, mayFail: true} }

// commands are the steps as answers show them.
func commands(steps ...step) [][]string {
	var out [][]string
	for _, s := range steps {
		out = append(out, s.words)
	}
	return out
}

func (p servicePlan) answer(done string) serviceAnswer {
	return serviceAnswer{Name: p.name, System: p.System, Done: done, File: p.File}
}

// planService says what a system must be told. It touches nothing.
func planService(s serviceSettings) (servicePlan, error) {
	for _, text := range []string{s.user, s.program, s.config} {
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '"' }) {
			return servicePlan{}, wrongUse(quoted(text)+" has a character that no service can be told", "use another name without quotes and control characters")
		}
	}
	var p servicePlan
	switch s.system {
	case "linux":
		p = planSystemd(s)
	case "darwin":
		p = planLaunchd(s)
	case "windows":
		p = planTask(s)
	default:
		return p, fail(exitUsage, errors.New("services are known of Linux, macOS and Windows only"), "start offsite watch by this system's own means")
	}
	p.System, p.name, p.hint = s.system, s.name, rightsHint(s.system)
	return p, nil
}

func rightsHint(system string) string {
	if system == "windows" {
		return "open a console with Run as administrator, and do it again there"
	}
	return "do it again with sudo"
}

// planSystemd describes a unit. Watch ends by itself only when something is wrong, so
// it is started again; but not with a configuration that cannot work.
func planSystemd(s serviceSettings) servicePlan {
	unit := s.name + ".service"
	word := func(text string) string {
		return `"` + strings.NewReplacer(`\`, `\\`, `%`, `%%`).Replace(text) + `"`
	}
	// Variables are put into arguments, but not into the name of the program.
	argument := strings.ReplaceAll(word(s.config), `$`, `$$`)
	return servicePlan{
		File: "/etc/systemd/system/" + unit,
		Text: fmt.Sprintf(`[Unit]
Description=offsite: keeps sealed copies of the practice's backup
Wants=network-online.target
After=network-online.target

[Service]
User=%s
ExecStart=%s --config %s watch
Restart=on-failure
RestartSec=1min
RestartPreventExitStatus=%d
UMask=0077
Nice=10
IOSchedulingClass=best-effort
IOSchedulingPriority=7
NoNewPrivileges=yes
ProtectSystem=yes

[Install]
WantedBy=multi-user.target
`, strings.ReplaceAll(s.user, "%", "%%"), word(s.program), argument, exitUsage),
		install: []step{do("systemctl", "daemon-reload"), do("systemctl", "enable", unit), do("systemctl", "restart", unit)},
		remove:  []step{try("systemctl", "disable", "--now", unit)},
		start:   []step{do("systemctl", "start", unit)},
		stop:    []step{do("systemctl", "stop", unit)},
		look:    do("systemctl", "is-active", unit),
		running: func(said string) bool { return strings.TrimSpace(said) == "active" },
	}
}

// planLaunchd describes a daemon. Watch ends well only when it is stopped; with any
// other end it is started again.
func planLaunchd(s serviceSettings) servicePlan {
	file, target := "/Library/LaunchDaemons/"+s.name+".plist", "system/"+s.name
	var words strings.Builder
	for _, w := range []string{s.program, "--config", s.config, "watch"} {
		fmt.Fprintf(&words, "    <string>%s</string>\n", escaped(w))
	}
	return servicePlan{
		File: file,
		Text: fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>%s</string>
  <key>UserName</key>
  <string>%s</string>
  <key>ProgramArguments</key>
  <array>
%s  </array>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ThrottleInterval</key>
  <integer>60</integer>
  <key>ProcessType</key>
  <string>Background</string>
  <key>Umask</key>
  <integer>63</integer>
</dict>
</plist>
`, s.name, escaped(s.user), words.String()),
		install: []step{try("launchctl", "bootout", target), do("launchctl", "bootstrap", "system", file)},
		remove:  []step{try("launchctl", "bootout", target)},
		start:   []step{do("launchctl", "kickstart", target)},
		stop:    []step{do("launchctl", "kill", "SIGTERM", target)},
		look:    do("launchctl", "print", target),
		running: func(said string) bool { return strings.Contains(said, "state = running") },
	}
}

// accountsWithoutPassword are those of Windows itself, by their fixed numbers.
var accountsWithoutPassword = map[string]string{"SYSTEM": "S-1-5-18", "LOCAL SERVICE": "S-1-5-19", "NETWORK SERVICE": "S-1-5-20"}

// planTask describes a scheduled task. Windows does not start a task again that ended
// with an error, so it is started every quarter of an hour, unless it runs. Stopping
// therefore disables it too.
func planTask(s serviceSettings) servicePlan {
	name := strings.TrimPrefix(strings.ToUpper(s.user), `NT AUTHORITY\`)
	who, logon, password := s.user, "\n      <LogonType>Password</LogonType>", []string{"/rp", "*"}
	if number, ok := accountsWithoutPassword[name]; ok {
		who, logon, password = number, "", nil
	}
	file := s.config[:strings.LastIndexByte(s.config, '\\')+1] + s.name + "-task.xml" // beside the configuration
	look := fmt.Sprintf("(Get-ScheduledTask -TaskName %s).State", s.name)
	return servicePlan{
		File: file,
		Text: fmt.Sprintf(`<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>offsite: keeps sealed copies of the practice's backup</Description>
  </RegistrationInfo>
  <Triggers>
    <BootTrigger>
      <Enabled>true</Enabled>
    </BootTrigger>
    <TimeTrigger>
      <Repetition>
        <Interval>PT15M</Interval>
        <StopAtDurationEnd>false</StopAtDurationEnd>
      </Repetition>
      <StartBoundary>2026-01-01T00:00:00</StartBoundary>
      <Enabled>true</Enabled>
    </TimeTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <UserId>%s</UserId>%s
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>7</Priority>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>%s</Command>
      <Arguments>--config "%s" watch</Arguments>
    </Exec>
  </Actions>
</Task>
`, escaped(who), logon, escaped(s.program), escaped(s.config)),
		install: []step{do(append([]string{"schtasks", "/create", "/f", "/tn", s.name, "/xml", file, "/ru", s.user}, password...)...), do("schtasks", "/run", "/tn", s.name)},
		remove:  []step{try("schtasks", "/end", "/tn", s.name), do("schtasks", "/delete", "/f", "/tn", s.name)},
		start:   []step{do("schtasks", "/change", "/enable", "/tn", s.name), do("schtasks", "/run", "/tn", s.name)},
		stop:    []step{do("schtasks", "/change", "/disable", "/tn", s.name), try("schtasks", "/end", "/tn", s.name)},
		look:    do("powershell", "-NoProfile", "-NonInteractive", "-Command", look), // schtasks answers in the language of the system
		running: func(said string) bool { return strings.TrimSpace(said) == "Running" },
		asks:    password != nil,
	}
}

// writeFile writes the file that describes the service, in the form that the system
// reads.
func (p servicePlan) writeFile() error {
	data := []byte(p.Text)
	if p.System == "windows" {
		data = littleEndian(p.Text)
	}
	if err := os.WriteFile(p.File, data, 0o644); err != nil {
		return fmt.Errorf("write service: %w", err)
	}
	return nil
}

// littleEndian writes a text as UTF-16 with a mark, the only form that every schtasks
// reads.
func littleEndian(text string) []byte {
	out := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(strings.ReplaceAll(text, "\n", "\r\n"))) {
		out = binary.LittleEndian.AppendUint16(out, unit)
	}
	return out
}

// escaped writes a text as XML does.
func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}
