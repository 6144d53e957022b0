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
	json, uuid                             bool // by its extended metadata
}

// decodeColumn reads the payload of a column definition, with extended metadata
// between its names and the rest if the target was asked for it.
func decodeColumn(b []byte, extended bool) (columnMsg, error) {
	c := cursor{b: b}
	c.str() // the catalog: "def"
	m := columnMsg{schema: c.str(), table: c.str(), orgTable: c.str(), name: c.str(), orgName: c.str()}
	if extended {
		m.json, m.uuid = decodeMetadata(c.str())
	}
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

// decodeMetadata reads extended metadata: pairs of what is told, 0 for the type and 1
// for the format, and its name. What it does not know tells nothing.
func decodeMetadata(b []byte) (json, uuid bool) {
	for c := (cursor{b: b}); len(c.b) > 0 && !c.bad; {
		switch kind, name := c.u8(), string(c.str()); {
		case kind == 0 && name == "uuid":
			uuid = true
		case kind == 1 && name == "json":
			json = true
		}
	}
	return json, uuid
}

// withMetadata returns a column definition with extended metadata that say nothing.
func withMetadata(b []byte) ([]byte, error) {
	c := cursor{b: b}
	for range 6 {
		c.str()
	}
	if c.bad {
		return nil, errMalformed
	}
	names := b[:len(b)-len(c.b)]
	return append(append(append(make([]byte, 0, len(b)+1), names...), 0), c.b...), nil
}
