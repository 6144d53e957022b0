package mysql

import "github.com/go-mysql-org/go-mysql/mysql"

// First bytes of what a server answers.
const (
	packetOK        = mysql.OK_HEADER
	packetMore      = mysql.MORE_DATE_HEADER // more data for the authentication
	packetLocalFile = mysql.LocalInFile_HEADER
	packetEOF       = mysql.EOF_HEADER // or OK at the end of rows, or another way to log in
	packetERR       = mysql.ERR_HEADER
)

// Status flags that the gateway looks at.
const (
	statusInTx        = mysql.SERVER_STATUS_IN_TRANS
	statusAutocommit  = mysql.SERVER_STATUS_AUTOCOMMIT
	statusMoreResults = mysql.SERVER_MORE_RESULTS_EXISTS
	statusCursor      = mysql.SERVER_STATUS_CURSOR_EXISTS
	statusSession     = statusInTx | statusAutocommit | mysql.SERVER_STATUS_NO_BACKSLASH_ESCAPED | mysql.SERVER_STATUS_IN_TRANS_READONLY
)

// An okMsg is what the gateway has to know of an OK packet, or of an EOF.
type okMsg struct {
	affected uint64
	status   uint16
}

// decodeOK reads the payload of an OK packet, also one that ends rows.
func decodeOK(b []byte) (okMsg, error) {
	c := cursor{b: b}
	c.u8()
	var m okMsg
	m.affected, _ = c.length()
	c.length() // the last id that was inserted
	m.status = c.u16()
	c.u16() // warnings
	if c.bad {
		return okMsg{}, errMalformed
	}
	return m, nil
}

// decodeEOF reads the payload of an EOF packet.
func decodeEOF(b []byte) (okMsg, error) {
	c := cursor{b: b}
	c.u8()
	c.u16() // warnings
	m := okMsg{status: c.u16()}
	return m, c.done()
}

// appendOK appends the payload of an OK packet that says nothing more.
func appendOK(b []byte, status uint16) []byte {
	b = append(b, packetOK, 0, 0)
	b = appendUint(b, 2, uint64(status))
	return append(b, 0, 0)
}

// A columnMsg is a column definition.
type columnMsg struct {
	schema, table, orgTable, name, orgName []byte
	charset                                uint16
	typ                                    byte
	flags                                  uint16
}

func decodeColumn(b []byte) (columnMsg, error) {
	c := cursor{b: b}
	c.str() // the catalog: "def"
	m := columnMsg{schema: c.str(), table: c.str(), orgTable: c.str(), name: c.str(), orgName: c.str()}
	c.length() // of the fields that follow
	m.charset = c.u16()
	c.u32() // display width
	m.typ = c.u8()
	m.flags = c.u16()
	c.u8()  // decimals
	c.u16() // filler
	if c.bad {
		return columnMsg{}, errMalformed
	}
	return m, nil
}
