// Package ssh is the SSH connector: a [Server] that OpenSSH, PuTTY, paramiko,
// scp, sftp, rsync and git use unchanged.
//
// # Which target a client means
//
// One rule: the part of the user name behind its last '@' or ':'. With a target
// called web1, all of these reach it:
//
//	ssh alice@web1@gateway
//	ssh -l alice:web1 gateway
//	scp file alice@web1@gateway:/srv/
//
// or, with "Host web1", "HostName gateway" and "User alice@web1" in ~/.ssh/config,
// ssh web1. The form with ':' is not for scp, rsync and git, which take what is
// behind a ':' for a path.
//
// # Who a client is
//
// A client proves itself by a key, by a certificate of one of [Server].UserCAs, or
// by a token as password or as the answer to the question "Token as password:", or, where
// [Server].LoginPage is set, by a browser that logs in at the link which that
// question shows, and then shows a code to type. Steps say
// who that is; the account in front of the target names nobody, but a certificate
// is good only for the accounts that it lists. Only a key that the client has
// proven to hold counts. Clients with many keys should name the one to use
// (IdentitiesOnly): whose key it is is asked when the client has signed, so each
// key that it tries is a failed proof, and [Server].MaxAuthTries of them end the
// connection. paramiko has one try: it asks for the login anew before the second,
// which the SSH library takes for an error. Give it one proof (look_for_keys=False,
// allow_agent=False).
//
// Of a certificate the gateway keeps: validity, principals (compared as a whole),
// source-address, force-command (with which forwards are refused),
// permit-pty and permit-port-forwarding. One with another critical option is
// refused.
//
// The client's login succeeds when the session was allowed and the gateway has
// logged in at the target; until then it hears what it waits for as a banner.
//
// # Options of a target
//
//	host_key   the target's public keys, one a line, as in known_hosts without the
//	           name; only these are accepted
//	host_ca    public keys of the authorities that sign the target's
//	host_name  the principal of the target's certificate; the default is the host
//	           of its address
//	auth       key: the secret is a private key; password: it is a password;
//	           certificate: it is the private key of an authority that the target
//	           trusts, and each session has a key of its own with a certificate that
//	           is good for two minutes and names the session and the person. The
//	           default is key if the secret looks like one, else password.
//	env        patterns of the environment variables that clients may set,
//	           separated by commas; the default is LANG,LC_*
//	agent_forwarding   yes: clients may ask to lend the target their agent; the
//	           default is no
//	typed_lines   yes: what is typed into a shell is asked about line by line; the
//	           default is no
//
// One of host_key and host_ca is needed: a target that nothing is known about is
// not connected to.
//
// # What is an operation
//
//	shell      an interactive shell; Opaque, since nobody knows what is typed
//	line       a line typed into a shell, where the target's option says so; see
//	           below
//	exec       a command; see below
//	subsystem  any but sftp is Opaque. sftp itself is Control: what is done through
//	           it is asked about one by one
//	open, list, stat, setstat, remove, mkdir, rmdir, rename, readlink, link, copy
//	           of a file. Its object is the absolute path: what the client sent,
//	           from the account's home folder on, without "..". Where that stands
//	           behind a name, which may be a link, it is Opaque: /var/run/../tmp is
//	           /tmp on many systems. Reading and writing
//	           are part of the open, whose end has the bytes and, if they went in
//	           order from the start, their hash: see [FileHash]
//	scp, rsync, git   a command that is exactly the far end of one of them. A path
//	           may be a folder, with all that is below; one that is not absolute
//	           begins in the home folder
//	forward    a connection from the target to an address or a Unix socket
//	listen     listening on one of them there; accept: a connection to it
//	agent      lending the target the client's agent, where its option permits
//	           that; accept of "agent": a use of it
//
// What forwards carry is Opaque: a rule allows them by name. An address has one
// name, whatever a client calls it: 127.1, and 0.0.0.0 where it is connected to, are
// 127.0.0.1, names are in lower case, and where all are listened on there is none. The
// target gets what the client sent, and only it knows where a name leads. A listen
// cannot be held: it is refused where it would be.
//
// pty-req, env, window-change, signal, break and the like are part of the shell or
// command, whose State says which terminal and variables were set. Everything else
// is refused and logged by type: X11, tun.
//
// # Commands
//
// A command's text is read as bash reads it. Each command in it is an object of
// kind "command", each file of a redirect one of kind "file"; sudo and its like
// add Admin, and what they run is looked at too. It is always Execute, and Opaque
// if the text does not tell what runs: a name from a variable, code for an
// interpreter, a shell's standard input, a function, what bash computes with
// variables (there the index of an array may be a command), text that cannot be
// parsed, text in which dash, mksh, zsh or fish is known to find other commands than
// bash, a name like ./x or a file from a folder that it changes to, and any text that
// sets, or whose client has set, a variable by which programs run other programs.
//
// This tells apart what people type; it does not contain who means harm. A name
// does not tell what a program does, a login shell may have aliases, and another
// shell than a POSIX one may read the text otherwise. Only to refuse shells, and
// to allow commands and paths by name, is a boundary. A path may lead through a
// symbolic link, which only the target knows.
//
// # Typed lines
//
// With typed_lines, the gateway follows what a terminal shows, and asks about the
// line that stands there before it sends the Enter behind it. It is analysed as a
// command is; what would be held is refused. A refused line is told on the terminal
// and taken back with Ctrl-C. What is not shown, as a password, is no line, nor is
// what is typed into a program that takes the whole screen.
//
// This is an aid for the record and for people who err, and no boundary: a program
// may show something else than it reads, what runs may come from a file or from
// parts of a line, and an Enter may be sent in other ways. Only to refuse shells
// is a boundary.
//
// # Refusals and holds
//
// A refused command writes the reason to its error stream and ends with status
// 126; a refused subsystem or channel fails as such; a refused file operation is
// answered with "permission denied". What is held says so on the error stream,
// and is withdrawn when its client closes the channel, sends a signal or, on a
// terminal, types Ctrl-C.
//
// # Streams
//
// Taps see "stdin", "stdout" and "stderr" of a command, or "pty" of a terminal, and
// "forward" of a forward. What tapped output ends with is told only after all of
// it has passed; where nothing comes for 250 ms, or 30 ms on a terminal, a tap hears of
// that and may show what it holds back. So a mask does not find a value that a program writes in parts with
// a pause between them, or that a target under load cuts so. Operations on files
// have no stream that a tap can see, since they are read and written in any order: a
// step that must see the data refuses them.
//
// The record of a forward, and of each connection to a listen, has how many bytes
// went each way. A step recordings with the verbs forward and accept keeps them, as
// they are. What a recording has is there to read before the client sees it, so it
// can be followed while it is made.
//
// # Limits
//
// What a client or target does not answer within [Server].AnswerTimeout fails; a
// target that answers no global request loses the session. What is left open by
// that counts as a channel until the connection ends.
//
// A connection has at most [Server].MaxChannels channels; each buffers up to 2 MiB
// for each direction, as the SSH library has it. SFTP messages are bounded by
// 256 KiB, as in OpenSSH. The library answers a channel's end by itself: a client
// that closes a channel before its command has ended does not hear its exit
// status any more. The client's error stream and the target's are passed on;
// other extended data, which nothing uses, is not. GSSAPI and host-based logins
// are not offered, and clients do not hear of the target's other host keys. The
// version that clients hear begins as OpenSSH's does, since many ask for less, or
// in another form, where it does not; the target's own is not known by then.
package ssh
