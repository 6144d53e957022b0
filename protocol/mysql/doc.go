// Package mysql is the connector for MySQL and MariaDB: a [Server] that clients
// use unchanged, with text and prepared statements, several statements and
// results, cursors, and arguments sent ahead.
//
// # Which target a client means
//
// One rule: the part of the user name behind its last '@'; else, if
// [Server].Domain is set, the first label of the TLS server name below it; else
// the part of the database name before the first '/'. So with a target called
// orders, all of these reach its database shop:
//
//	mariadb -h gateway -u alice orders/shop
//	mariadb -h gateway -u alice@orders shop
//	mariadb -h orders.db.example.com -u alice shop     (Domain "db.example.com")
//
// Programs that name a database only later, such as mariadb-dump, name the
// target in the user. Without a database the target's option dbname is used.
//
// # How clients log in
//
// With a certificate; or with a token or password in the clear inside TLS
// (mysql_clear_password: the mysql command line wants
// --enable-cleartext-plugin, Go's driver allowCleartextPasswords, mysql2
// enableCleartextPlugin); or with a token of OpenID Connect
// (authentication_openid_connect_client of MySQL 9); or, as [Server].Auth says,
// against secrets that the gateway knows (mysql_native_password,
// caching_sha2_password), for which see the step middleware.ScramSecrets.
//
// # Options of a target
//
//	sslmode, sslrootcert, sslcert, sslkey   as for a PostgreSQL target; the default
//	             is verify-full
//	require_auth a list, separated by commas, of the plugins that the target may
//	             ask for: mysql_native_password, caching_sha2_password,
//	             sha256_password, client_ed25519, mysql_clear_password. The
//	             default is all.
//	server_public_key   a file with the target's RSA key, for targets that want
//	             the password itself and have no TLS; "ask" takes the target's
//	             word for it
//	dbname       the database for clients that name none
//
// The password itself goes to a target only over TLS that proves who answers, or
// encrypted with its key.
//
// # What is an operation
//
// Each statement of a text, each preparation (with Prepare set), each execution
// with its arguments, each fetch from a cursor, and what other commands do: the
// choice of a database, the list of a table's columns, the server's statistics,
// its processes, a reset, a ping ("ping"), whether texts may have several
// statements ("set option"), COM_REFRESH ("flush") and COM_DEBUG ("debug", both
// admin), and a text without a statement ("empty"). Arguments sent ahead, and the
// reset and the end of a prepared statement are part of it. Refused are the
// commands for replication, for the server's process, and those that are
// obsolete. What is denied is answered with error 1227 and leaves session and
// transaction as they are. Of several statements in one text all run or none.
//
// A comment before everything else of a text, "/* unmask: why */", asks for what
// masks hide; clients that leave out comments may keep "/*+ unmask: why */" (mysql) or
// "/*M!999999 unmask: why */" (mariadb)
// ([protocol.Operation.Unmask]), for each of the text's statements by itself. So does
// each execution of what was prepared, and each fetch from its cursor.
//
// KILL reaches sessions of the same person at the same target by the id that
// the client was greeted with, and by what CONNECTION_ID() says, which is the
// target's own; it also ends a hold. Other ids of the target need the access
// admin.
//
// # What is held
//
// The protocol has no word for a client that waits. So one that has waited for
// [Server].HoldTimeout is answered with error 1227, which names the request, and
// may go on with something else. If it sends the same again on the same
// connection, with the same arguments, it waits on for the same decision, and
// what was approved runs once. But if anything has run meanwhile beside reads and
// the begin and end of transactions, what it means may have changed, and it is
// asked about anew. Up to 16 may wait so; what is approved waits five minutes for
// its client. KILL QUERY (Ctrl-C in the mysql
// command line) and the end of the connection withdraw what is held. A client
// that gives up reading should do so later than HoldTimeout: when it leaves,
// what it waited for is withdrawn.
//
// # How statements are read
//
// With TiDB's grammar, in the session's own sql_mode and database, which the
// gateway asks the target for after whatever may have changed them. Comments
// that the target executes are code. What TiDB's grammar lacks of MariaDB's and
// MySQL's is read by the gateway itself: RETURNING, SELECT ... INTO, JSON_TABLE,
// FOR SYSTEM_TIME, HANDLER, EXECUTE IMMEDIATE, compound statements, and the code
// of functions, procedures and triggers, as far as the target shows it to the
// gateway's account. User variables, statements prepared in SQL and temporary
// tables are followed through the session: what they hold comes from where it
// came from. What -> and ->>, JSON_EXTRACT, JSON_VALUE, JSON_QUERY and JSON_UNQUOTE take out of a document
// is known by its place ([protocol.Source].Path) where the path is one plain literal of names, in ASCII, and
// numbers of elements. Operation.Inferred is what a statement tells of columns without showing
// them, as for PostgreSQL: warnings and the number of changed rows tell as well, a text
// that is compared with a number is read as one (HowComputed), and a comparison with a
// variable is one with a list. What routines compare counts, what triggers compare does
// not. What is not understood is opaque, among it whatever is sent in a
// sql_mode such as ORACLE, or one that is not known here; other modes are followed.
// So are texts that run within a block, comments within those of another version,
// names with a character beyond U+FFFF, and more than 2,000 joins in one statement.
// Variables whose names need quotes count
// as one: servers take é and è for the same.
//
// The names of a target's tables are read over a connection of the gateway's
// own, beside what statements do: a change made past the gateway is noticed within
// five seconds, one made through it at once. While the target's counters of
// statements (Com_create_table and the like) stand still they are read again once a
// minute only. They are counted when a statement begins, so that what a long one
// past the gateway changes may be noticed that late.
//
// If what a statement reads has changed since it was decided about, as while it was
// held or waited at the target for whoever changes it, its rows are not shown: it
// fails, and can be repeated.
//
// # Limits
//
// The client is told a server's version before it is known which target it
// means: set [Server].Version to what the targets are. Compression, LOCAL INFILE,
// CLIENT_NO_SCHEMA and of the extensions of MariaDB's protocol bulk execution,
// progress and cached metadata are not offered; its extended metadata are, where
// Version is a MariaDB's. A target that asks for a file of the client's is left.
// Arguments of INT24, YEAR, BIT, BOOL and GEOMETRY, which servers read each in its
// own way, are refused. COM_CHANGE_USER resets the session of the same user, in the
// character set that it names, and is refused for another.
//
// After a statement that may have changed sql_mode, the database or a character
// set, the gateway's own question stands before the next one: ROW_COUNT() and
// FOUND_ROWS() then tell of the question. SHOW WARNINGS and SHOW ERRORS do not.
// Once code that is not known has run, what variables hold and what names of
// tables mean is not known until the session is reset; what it has put into settings,
// such as timestamp, and the number of an error that it raises are shown. A client's
// character set has to be one that ASCII is part of; text beyond ASCII is read in UTF-8 only,
// and in an eight-bit character set is opaque.
//
// Masks see values as text, and know types as the protocol has them: INET6 of MariaDB,
// ENUM and SET are texts there, as are JSON and UUID for who does not ask for extended
// metadata, and what takes their place may be none of the server's own values; nor is
// 1970-01-01 one of TIMESTAMP. What a mask gives for a value in a binary row and the
// column's type cannot hold is NULL.
package mysql
