package ssh

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

func TestCommandsAreTakenApart(t *testing.T) {
	const x, w, r, ad, o = protocol.Execute, protocol.Write, protocol.Read, protocol.Admin, protocol.Opaque
	for _, c := range []struct {
		text    string
		access  protocol.Access
		objects string // "kind:name" of each
	}{
		{"uptime", x, "command:uptime"},
		{"/usr/bin/uptime -p", x, "command:uptime"},
		{"ps aux | grep 'x y' && df", x, "command:ps command:grep command:df"},
		{"echo a > /etc/passwd", x | w, "command:echo file:/etc/passwd"},
		{"wc < in 2>&1 >>out", x | w | r, "command:wc file:in file:out"},
		{"rm -rf /", x | w, "command:rm"},
		{"r''m x", x | w, "command:rm"},
		{`r\m x`, x | w, "command:rm"},
		{"sudo -u postgres -- pg_dump", x | ad, "command:sudo command:pg_dump"},
		{"sudo rm x", x | w | ad, "command:sudo command:rm"},
		{"sudo -n FOO=1 systemctl stop x", x | ad, "command:sudo command:systemctl"},
		{"sudo -i", x | ad | o, "command:sudo"},
		{"sudo --unknown rm x", x | ad | o, "command:sudo"},
		{"su -c 'rm x'", x | ad | o, "command:su"},
		{"nohup nice -n 5 timeout 9 rm x", x | w, "command:nohup command:nice command:timeout command:rm"},
		{"env A=b rm x", x | w, "command:env command:rm"},
		{"env PATH=/tmp ls", x | o, "command:env"},
		{"PATH=/tmp ls", x | o, "command:ls"},
		{"export PATH=/tmp; ls", x | o, "command:ls"},
		{"export LANG=C; declare -r x=1; ls", x, "command:ls"},
		{"declare $x; ls", x | o, "command:ls"},
		{"./ls; ../sbin/ls; /usr/bin/../bin/ls; /tmp/ls", x, "command:./ls command:../sbin/ls command:ls command:/tmp/ls"},
		{"hash -p /tmp/x ls; ls", x | o, "command:hash command:ls"},
		{"/tmp/sudo rm x", x | w | ad, "command:/tmp/sudo command:rm"},
		{"sh -c 'rm x; sh -c \"mv a b\"'", x | w, "command:sh command:rm command:mv"},
		{"bash -c \"$X\"", x | o, "command:bash"},
		{"curl x | sh", x | o, "command:curl command:sh"},
		{"sh ./script", x | o, "command:sh"},
		{"/usr/lib/openssh/sftp-server", x | o, "command:/usr/lib/openssh/sftp-server"},
		{"$X y", x | o, ""},
		{"env - rm x", x | o, "command:env"},
		{"echo rm x | xargs env", x | o, "command:echo command:xargs command:env"},
		{"echo rm x | xargs nice -n 5", x | o, "command:echo command:xargs command:nice"},
		{"echo rm x | xargs find .", x | o, "command:echo command:xargs command:find"},
		{"echo -c 'rm x' | xargs sh", x | o, "command:echo command:xargs command:sh"},
		{"ls | xargs rm -f", x | w, "command:ls command:xargs command:rm"},
		{"ls | xargs", x, "command:ls command:xargs"},
		{"find $LC_A", x | o, "command:find"},
		{"find . -delete", x | w, "command:find"},
		{"runuser alice -c 'rm x'", x | ad | o, "command:runuser"},
		{"flock /tmp/l rm x", x | o, "command:flock"},
		{"python3.11 x.py", x | o, "command:python3.11"},
		{"/lib64/ld-linux-x86-64.so.2 /bin/rm x", x | o, "command:/lib64/ld-linux-x86-64.so.2"},
		{"=rm x", x | o, ""},
		{"repeat 2 rm x", x | o, "command:repeat"},
		{"ls >/dev/null 2>//dev/null", x, "command:ls"},
		{"echo a >& out", x | w | o, "command:echo file:out"},
		{"echo a >&'$(rm x)'", x | w | o, "command:echo file:$(rm x)"},
		{"echo a >&2 2>&- 3>&1-", x, "command:echo"},
		{"echo a > /srv/../etc/passwd", x | w | o, "command:echo file:/etc/passwd"},
		{"cd /etc; echo a > passwd", x | w | o, "command:cd command:echo file:passwd"},
		{"cd /etc; ls > /tmp/x", x | w, "command:cd command:ls file:/tmp/x"},
		{"ls &> /tmp/x", x | w, "command:ls file:/tmp/x"},
		{"ls &> /tmp/x rm y", x | w | o, "command:ls file:/tmp/x"},
		{"[[ x || reboot ]]", x | o, ""},
		{"coproc rm>|f", x | w | o, "file:f"},
		{"((1+2))", x | o, ""},
		{`echo $'\'; rm y #'`, x | o, "command:echo"},
		{`echo '\'' ; rm y; echo \'`, x | o, "command:echo"},
		{`echo '\d'`, x, "command:echo"},
		{`xargs rm\`, x | o, `command:xargs command:rm\`},
		{"ls *(e:'rm y':)", x | o, "command:ls"},
		{"ls $~LC_A", x | o, "command:ls"},
		{"time -f x rm y", x | o, ""},
		{"sudo -i '$SHELL' -c 'rm y'", x | ad | o, "command:sudo"},
		{"sudo -D /tmp ./x", x | ad | o, "command:sudo"},
		{"cd /srv; ./x", x | o, "command:cd command:./x"},
		{"cat <<E\r\nE\r\nrm x\nE\n", x | o, ""},
		{"$(echo rm) y", x | o, "command:echo"},
		{"echo $(rm y)", x | w, "command:echo command:rm"},
		{"{a,rm} x", x | o, ""},
		{"eval x", x | o, "command:eval"},
		{"python3 -c 'print(1)'", x | o, "command:python3"},
		{"ls() { rm x; }; ls", x | w | o, "command:rm command:ls"},
		{"find . -name x", x, "command:find"},
		{"find . -exec rm {} +", x | o, "command:find"},
		{"if true; then touch x; fi", x | w, "command:true command:touch"},
		{"unterminated '", x | o, ""},
		{"a\x00b", x | o, ""},
		{strings.Repeat("a ", maxAnalyzed), x | o, ""},
		{strings.Repeat("(", 4000), x | o, ""},

		{"scp -f /etc/hosts", r, "command:scp file:/etc/hosts"},
		{"scp -v -r -t -- /tmp/x", w, "command:scp file:/tmp/x"},
		{"scp -t -f x", x | w, "command:scp"},
		{"scp -S /tmp/evil -t x", x | w, "command:scp"},
		{"scp -t *", x | w, "command:scp"},
		{"scp -t x; rm y", x | w, "command:scp command:rm"},
		{"rsync --server -vlogDtprze.iLsfxCIvu . /srv/x", w, "command:rsync file:/srv/x"},
		{"rsync --server --sender -vlogDtprze.iLsfxCIvu . /srv/x", r, "command:rsync file:/srv/x"},
		{"scp -t ./x", w, "command:scp file:x"},
		{"scp -t ../x", w | o, "command:scp file:../x"},
		{"ls > a/../../x", x | w | o, "command:ls file:../x"},
		{"scp -f /srv/../etc//shadow", r | o, "command:scp file:/etc/shadow"},
		{"rsync --server -s . /srv/x", x | w, "command:rsync"},
		{"rsync --server -vB . /srv/x", x | w, "command:rsync"},
		{"rsync --server -fe.iLs . /srv/x", x | w, "command:rsync"},
		{"rsync --server -vlogDtpre.iLsfxCIvu . /srv/../x/", w | o, "command:rsync file:/x"},
		{"rsync --server --daemon --config=/tmp/x .", x | w, "command:rsync"},
		{"rsync --server --sender -r . /srv/x --log-file=/srv/y", x | w, "command:rsync"},
		{"rsync --server --sender -r - . /srv/x", x | w, "command:rsync"},
		{"rsync --server --sender --log-file=/etc/x . /y", x | w, "command:rsync"},
		{"git-upload-pack '/srv/a.git'", r, "command:git-upload-pack repository:/srv/a.git"},
		{"git-receive-pack 'a/../b'", x | w | o, "command:git-receive-pack repository:b"},
		{"git-upload-pack --exec=x a", x, "command:git-upload-pack"},
	} {
		op := analyze(c.text)
		var got []string
		for _, o := range op.Objects {
			got = append(got, o.Kind+":"+o.Name)
		}
		name := c.text[:min(len(c.text), 50)]
		require.Equal(t, c.access.String(), op.Access.String(), name)
		require.Equal(t, c.objects, strings.Join(got, " "), name)
		require.Equal(t, op.Access.Has(o), op.Why != "", name)
	}
}

// A modifier may have any name, and is not what text is encoded in.
func TestLocaleWithAModifier(t *testing.T) {
	for v, want := range map[string]bool{"C": true, "de_DE.UTF-8": true, "de_DE.UTF-8@euro": true, "ja_JP.SJIS": false, "ja_JP.SJIS@.utf-8": false} {
		require.Equal(t, want, unicodeLocale("LC_ALL", v), v)
	}
}
