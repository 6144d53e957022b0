package servers

import _ "embed"

// SampleSQL makes a small shop with data worth guarding: customers with email,
// ssn, phone and card, their orders, a view over both, and a partitioned table.
// The people in it are invented; see sample.sql.
//
//go:embed sample.sql
var SampleSQL string
