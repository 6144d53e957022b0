// Package postgres is the PostgreSQL connector: a [Server] that clients of any
// kind use unchanged, with protocol 3.0 and 3.2, simple and extended, COPY,
// pipelines and cancel requests.
//
// # Which target a client means
//
// One rule: the part of the user name behind its last '@'; else, if
// [Server].Domain is set, the first label of the TLS server name below it; else
// the part of the database name before the first '/'. So with a target called
// orders, all of these reach its database shop:
//
//	psql -h gateway -U alice -d orders/shop
//	psql -h gateway -U alice@orders -d shop
//	psql -h orders.db.example.com -U alice -d shop     (Domain "db.example.com")
//
// Without a database the target's option dbname is used, else the database
// that is called like the gateway's account there.
//
// # Options of a target
//
//	sslmode      disable, prefer, require, verify-ca, verify-full; the default is
//	             verify-full, over a Unix socket disable. prefer and require
//	             encrypt but do not prove who answers; as in libpq, require with
//	             an sslrootcert means verify-ca.
//	sslrootcert  file with the certificates that may have signed the target's
//	sslcert, sslkey   files with the gateway's own certificate and key
//	require_auth a list, separated by commas, of what the target may ask for:
//	             scram-sha-256, md5, password, none; with a ! before each, of
//	             what it may not. The default is anything.
//	channel_binding  prefer, require, disable; require also means that the target
//	             asks for SCRAM over TLS.
//	dbname       the database for clients that name none
//	restricted_user  the account of the restricted login, see below, and
//	restricted_password_file  the file with its password
//	replication  allow: clients may ask for replication connections; pg_basebackup
//	             and its like name the target in the user, since libpq puts
//	             "replication" in the database's place
//
// The options that libpq has too mean the same. A password goes in the clear to
// a target only that verify-ca or verify-full have proven, whatever
// require_auth says. Who stands in the way of an unproven target can ask for
// md5, or for SCRAM with few iterations, and guess the secret from the answer:
// there, take require_auth=scram-sha-256 and a long random secret.
//
// # What is an operation
//
// Each statement of a Query, each Parse (with Prepare set), each Bind with its
// Execute, each FunctionCall (opaque, since it calls by number) and each cancel
// request. A Parse with its Bind right behind it, as most drivers send them, is
// one operation, without Prepare. Denied and held ones are answered as
// PostgreSQL would answer an error: in order, with the transaction left failed
// and one ReadyForQuery.
//
// A change outside of an explicit transaction ends as its request does: of a pipeline
// that fails, or cannot commit when it is synced, all changes are recorded as failed,
// whatever the target said of each. Within one they are recorded as the target answers,
// and what ends it says whether they last.
//
// A comment before everything else of a statement, "/* unmask: why */", asks for
// what masks hide ([protocol.Operation.Unmask]). Of what was prepared each execution
// asks anew; a portal that is suspended goes on with what was approved.
//
// # COPY
//
// What COPY ... TO STDOUT sends, in any format, is rows for steps that look at
// rows, with the columns of the table or query, and bytes for those that look at
// bytes, which see what is left of the rows. Without such a step it is forwarded as
// it comes. It is bytes only, so that a mask refuses it, where its fields might not
// be told apart: in a character set such as SJIS, with a delimiter, quote or NULL
// that is not ASCII, where the session's character set is not certain, and where
// code of a user's runs that could change it, unless ENCODING names one. Values
// whose type is not known from the analysis are masked with NULL. In the text
// format, what stands for NULL can be a value's text as well; it is then shown to
// steps as the value, so that nobody finds out a masked value by choosing it for
// NULL, and a NULL there is masked like a value.
//
// # Documents in columns
//
// What ->, ->>, #>, #>>, subscripts, json_extract_path and their like take out of a json
// or jsonb value by constants, and what a cast between these types and text makes of it,
// is known by its place ([protocol.Source].Path), also through views and queries within the
// query. An element of an array lies where the array does. In #>, subscripts and
// functions what looks like a number may be a name or an element's number, so that what is
// behind it is computed. Operators that somebody has defined, and any
// other way into a document, such as jsonb_each, jsonb_path_query and JSON_VALUE, are
// computed from all of it. Such a text is analysed by itself: others that differ in its literals
// are analysed anew.
//
// # Inference
//
// Operation.Inferred is what a statement tells of columns without showing them: what
// WHERE, HAVING, ON, CASE, FILTER, GROUP BY, ORDER BY, DISTINCT, windows, LIMIT, set
// operations, ON CONFLICT and MERGE look at, through views, queries within the query and
// EXPLAIN; and what is computed on its way to a column of the result, unless it yields
// NULL for NULL only, never fails and takes as long for every value, as upper and ||
// do. It is not known for code that somebody has defined. Not in it is what the target's
// own constraints, triggers, policies and statistics tell, nor what a statement's time
// shows. A comparison counts as one with a single value (HowEquality) where the
// other side is made of constants and arguments; several of one column are a list.
//
// # The restricted login
//
// A statement that a mask would refuse, because it cannot be analysed or might put
// masked values elsewhere, runs under the target's restricted login if there is
// one: an account that has no privilege to read what is masked, so that the target
// itself answers or refuses. It is a connection of its own, since a session that
// only changes its role can change it back, opened for the one statement and closed
// behind it. So that the statement means the same there, it has to stand alone in a
// Query outside of a transaction and have nothing to do with the session: no
// cursors, prepared statements, settings or temporary tables. The search_path, the
// character set and the styles of dates and times are the client session's; other
// settings are the account's own.
//
// Each time before it is used the account is looked at, and the statement refused,
// if it may read a column that is masked, or one of a view that comes from such a
// column or of which that is not known; if it is a superuser, may make roles or is
// a member of any; or may call a function that is SECURITY DEFINER.
// [Server.WriteRestrictedRole] writes the SQL that makes the role. Like every account it
// may change its own password and the settings that its sessions begin with, for all
// statements that run under it later: access rules say who may run what is not analysed,
// and an account that logs in without a password has none to change. What servers that
// are reached through dblink or foreign tables let somebody read is theirs to say,
// and who runs statements under the account at the same time sees their texts in
// pg_stat_activity.
//
// # What a client can tell
//
// Whose token it is says who logs in, not the user name: any goes. current_user
// is the gateway's account at the target. Clients that ask for protocol 3.2 get
// it, and with it long cancel keys, whatever the target speaks. Everything that
// may change something waits until its record is on disk, and a statement with
// names in it that follows a change of definitions until what has changed in
// the catalog has been read.
//
// # Clients that leave
//
// What a client has sent before a Terminate runs to its end. A client that only
// closes its sending side is still answered, unless a request of it has to wait
// for the target for more than a second: it then counts as gone. For a client
// that is gone nothing more is sent; a change that runs has a second to end and
// is then cancelled at the target, where PostgreSQL itself would let it run on.
//
// # Limits
//
// Clients cannot use channel binding through a gateway (channel_binding=require
// fails) nor GSSAPI. Statements, the arguments of one execution and rows that a
// step masks are bounded by [Server].MaxMessage; COPY data and other rows are
// streamed. Changes of definitions that go past the gateway are noticed within
// a few seconds, or at once where the target's description of a result shows
// them: that ends the session, since the result is not what was decided about.
//
// A statement that waits at the target for a lock, while somebody changes what it
// reads, runs with the new definitions. So before anything of an answer is shown
// they are read again, if another session of this gateway has changed some since the
// statement was decided about, or is changing some, or if the statement was under way
// for more than a quarter of a second, whoever may have changed some. If it does
// something else by them, or if they cannot be read, the session ends, and an error or
// a notice is told without its text. What a statement has written by definitions that
// changed meanwhile is taken back if that is noticed within an open transaction. Else
// it stays, and what was copied so is known for what it was to be: who redefines views
// over masked columns does it best while nobody copies from them. Definitions that
// change and are put back past the gateway while one statement waits are not noticed.
// What functions and triggers define when they run, which no text shows, is noticed by
// the next statement, unless the definitions were read within the quarter of a second
// before: then it takes so long, and a statement that comes before is masked by the old
// ones.
//
// Changes within the open transaction make names unknown, which counts as the
// worst, until it ends. Nothing is known of temporary tables and views of the
// session, which count as the worst too; a name without a schema may mean one of
// them only if they have it.
//
// Among the objects of an operation are those that a view or a table above or below it
// stands for, but not what the target changes by itself: by foreign keys that cascade, by
// TRUNCATE and DROP ... CASCADE, by triggers and rules.
//
// To read a view is to read all of its columns, as far as what is copied or
// changed by the statement is concerned.
//
// A connection to the target has to stay one session there: behind a pooler that
// hands sessions round between transactions, neither a session's settings nor
// the catalog can be followed.
package postgres
