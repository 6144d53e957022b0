package ssh_test

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol/protocoltest/sshtest"
)

const playbook = `
- hosts: web1
  gather_facts: false
  tasks:
    - command: echo {{ 6 * 7 }}
      register: said
      changed_when: false
    - assert: {that: said.stdout == "42"}
    - copy: {content: "line one\n", dest: "{{ dir }}/copied", mode: "0640"}
    - lineinfile: {path: "{{ dir }}/lines", line: line two, create: true, mode: "0600"}
    - fetch: {src: "{{ dir }}/copied", dest: "{{ dir }}/fetched", flat: true}
    - shell: cat; exit 3
      args: {stdin: by way of stdin}
      register: failed
      failed_when: failed.rc != 3 or failed.stdout != "by way of stdin"
      changed_when: false
`

// TestAnsible runs a playbook. Ansible copies its modules with sftp, or with
// pipelining sends them to the standard input of Python, and shares one
// connection by ControlMaster. The second time nothing is left to do.
func TestAnsible(t *testing.T) {
	ansible := sshtest.Tool(t, "ansible-playbook", "ansible-core")
	for name, pipelining := range map[string]string{"sftp": "False", "pipelining": "True"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigConfig{})
			require.NoError(t, os.WriteFile(r.dir+"/inventory", []byte("web1 ansible_python_interpreter=/usr/bin/python3\n"), 0o600))
			require.NoError(t, os.WriteFile(r.dir+"/play.yml", []byte(playbook), 0o600))
			control, err := os.MkdirTemp("", "cp") // a socket's path has to be short
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, os.RemoveAll(control)) })
			play := func() string {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				cmd := exec.CommandContext(ctx, ansible, "-i", r.dir+"/inventory", "-e", "dir="+r.dir, r.dir+"/play.yml")
				cmd.Env = append(os.Environ(), "HOME="+r.dir, "ANSIBLE_HOME="+r.dir+"/ansible", "ANSIBLE_LOCAL_TEMP="+r.dir+"/local", "ANSIBLE_NOCOLOR=1",
					"ANSIBLE_SSH_ARGS=-F "+r.dir+"/config -o ControlMaster=auto -o ControlPersist=5s", "ANSIBLE_SSH_CONTROL_PATH_DIR="+control,
					"ANSIBLE_PIPELINING="+pipelining, "ANSIBLE_REMOTE_TEMP="+r.dir+"/remote", "LC_ALL=C.UTF-8")
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, string(out))
				return string(out)
			}
			require.Contains(t, play(), "changed=3")
			if pipelining == "True" {
				require.Contains(t, play(), "changed=0")
			}
			same(t, r.dir+"/fetched", []byte("line one\n"))
			if pipelining == "False" {
				require.Positive(t, r.ops.ended(t, "open", "AnsiballZ_copy.py").out.BytesIn)
			}
		})
	}
}
