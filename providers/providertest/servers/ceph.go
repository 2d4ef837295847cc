package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// CephDay is how long a day of lifecycle rules lasts in a Ceph. Leases are real time.
const CephDay = 10 * time.Second

const (
	cephAptLimit  = 5 * time.Minute // a slow mirror, or another installation
	cephToolLimit = 3 * time.Minute // one command of its tools, on a busy machine
)

// Ceph is a Ceph Object Gateway over one monitor and one disk in memory. It has
// versions, Object Lock, bucket policies, and lifecycle rules that really run.
type Ceph struct {
	URL, Access, Secret string // of the owner of everything

	folder, conf string
	processes    []*Process
}

// StartCeph starts it; on Debian as root it is installed first where it is missing.
// It takes some ten seconds and 150 MB of memory.
func StartCeph(log Log) (*Ceph, error) {
	if err := installCeph(log); err != nil {
		return nil, err
	}
	return inFolder(func(address, folder string) (*Ceph, error) {
		c := &Ceph{URL: "http://" + address, Access: "offsite-test", Secret: "no secret at all", folder: folder, conf: filepath.Join(folder, "ceph.conf")}
		if err := c.start(address); err != nil {
			c.end()
			return nil, fmt.Errorf("start Ceph: %w", err)
		}
		return c, nil
	})
}

// cephAbsent are the programs that are not there.
func cephAbsent() (absent []string) {
	for _, program := range []string{"radosgw", "radosgw-admin", "ceph", "ceph-mon", "ceph-osd", "ceph-authtool", "monmaptool"} {
		if _, err := exec.LookPath(program); err != nil {
			absent = append(absent, program)
		}
	}
	return absent
}

func installCeph(log Log) error {
	absent := cephAbsent()
	if len(absent) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("there is neither Ceph (%s) nor apt-get to install it: %w", strings.Join(absent, ", "), ErrElsewhere)
	}
	packages := []string{"radosgw", "ceph-mon", "ceph-osd", "ceph-common"}
	if os.Getuid() != 0 {
		return fmt.Errorf("there is no Ceph (%s), and only root can install it, with apt-get install --no-install-recommends %s: %w",
			strings.Join(absent, ", "), strings.Join(packages, " "), ErrElsewhere)
	}
	return once("ceph", func(context.Context, string) error {
		if len(cephAbsent()) == 0 {
			return nil // another process was first
		}
		ctx, cancel := context.WithTimeout(context.Background(), cephAptLimit)
		defer cancel()
		log("installing %s with apt-get", strings.Join(packages, " "))
		for _, args := range [][]string{{"update", "-qq"}, append([]string{"install", "-qq", "-y", "--no-install-recommends"}, packages...)} {
			err := again(ctx, log, func() (bool, error) {
				cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3"}, args...)...)
				cmd.Env = append(cmd.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
				out, err := cmd.CombinedOutput()
				if err != nil {
					err = fmt.Errorf("apt-get %s: %w: %s", args[0], err, lastOf(out))
				}
				// For the lists of packages apt-get does not wait by itself.
				return bytes.Contains(out, []byte("Could not get lock")), err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// cephConf is a cluster of one: no copies, everything on the loopback.
const cephConf = `[global]
fsid = %[2]s
mon host = [v2:%[3]s]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = %[1]s/keyring
log file = %[1]s/$name.log
mon cluster log file = %[1]s/cluster.log
admin socket =
run dir = %[1]s
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 0
paxos propose interval = 0.02
paxos min wait = 0.01
[mon.a]
mon data = %[1]s/mon
[osd.0]
osd data = %[1]s/osd
osd objectstore = memstore
memstore device bytes = 2147483648
[client.rgw]
rgw frontends = beast endpoint=%[4]s tcp_nodelay=1
rgw lc debug interval = %[5]d
rgw lifecycle work time = 00:00-24:00
rgw enable usage log = false
debug rgw = 0
`

func (c *Ceph) start(address string) error {
	const id, disk = "11111111-2222-4333-8444-555555555555", "66666666-7777-4888-8999-aaaaaaaaaaaa"
	mon, err := freeAddress()
	if err != nil {
		return err
	}
	for _, sub := range []string{"mon", "osd"} {
		if err := os.Mkdir(filepath.Join(c.folder, sub), 0o700); err != nil {
			return err
		}
	}
	conf := fmt.Sprintf(cephConf, c.folder, id, mon, address, int(CephDay/time.Second))
	if err := os.WriteFile(c.conf, []byte(conf), 0o600); err != nil {
		return err
	}
	ring, monmap := filepath.Join(c.folder, "keyring"), filepath.Join(c.folder, "monmap")
	steps := [][]string{{"ceph-authtool", ring, "-C", "-g", "-n", "mon.", "--cap", "mon", "allow *"}}
	for _, name := range []string{"client.admin", "client.rgw", "osd.0"} {
		steps = append(steps, []string{"ceph-authtool", ring, "-g", "-n", name, "--cap", "mon", "allow *", "--cap", "osd", "allow *"})
	}
	steps = append(steps,
		[]string{"monmaptool", "--create", "--fsid", id, "--addv", "a", "[v2:" + mon + "]", monmap},
		[]string{"ceph-mon", "-c", c.conf, "-i", "a", "--mkfs", "--monmap", monmap, "--keyring", ring})
	if err := tools(steps...); err != nil {
		return err
	}
	if err := c.run(connects(mon), "ceph-mon", "-i", "a"); err != nil {
		return err
	}
	err = tools(
		[]string{"ceph-osd", "-c", c.conf, "-i", "0", "--mkfs", "--osd-uuid", disk},
		[]string{"ceph", "-c", c.conf, "osd", "new", disk})
	if err != nil {
		return err
	}
	if err := c.run(func() bool { return true }, "ceph-osd", "-i", "0"); err != nil {
		return err
	}
	if err := c.run(answers(c.URL), "radosgw", "-n", "client.rgw"); err != nil {
		return err
	}
	return c.User("owner", c.Access, c.Secret)
}

// run starts one of the daemons in the foreground.
func (c *Ceph) run(ready func() bool, program string, args ...string) error {
	p, err := Run(ready, c.folder, program, append([]string{"-f", "-c", c.conf}, args...)...)
	if err == nil {
		c.processes = append(c.processes, p)
	}
	return err
}

// User makes somebody with keys and without any rights but to buckets of their own.
func (c *Ceph) User(name, access, secret string) error {
	return tools([]string{"radosgw-admin", "-c", c.conf, "-n", "client.rgw", "user", "create", "--uid", name, "--display-name", name,
		"--access-key", access, "--secret-key", secret})
}

// ARN is how policies name a user of this server.
func (c *Ceph) ARN(name string) string { return "arn:aws:iam:::user/" + name }

func (c *Ceph) end() {
	for i := len(c.processes) - 1; i >= 0; i-- {
		c.processes[i].Stop()
	}
}

// Stop ends it and removes what it kept.
func (c *Ceph) Stop() {
	c.end()
	_ = os.RemoveAll(c.folder)
}

func tools(commands ...[]string) error {
	for _, args := range commands {
		ctx, cancel := context.WithTimeout(context.Background(), cephToolLimit)
		out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
		err = errors.Join(err, ctx.Err())
		cancel()
		if err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, lastOf(out))
		}
	}
	return nil
}

func connects(address string) func() bool {
	return func() bool {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	}
}
