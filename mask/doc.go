// Package mask replaces sensitive values in results: rules that name base
// columns, fields of documents or kinds of values ([Rule], [Compile]), and
// transforms that turn a value into another one of the same type, in the format in
// which it travels ([Transform]).
//
// Start with a [Rule] and one of [Redact], [Null], [Default], [Fixed],
// [Partial], [KeepLast], [Email] and [Hash]. Which base columns a result
// column comes from is not this package's to know: a connector says so, and
// package middleware's Mask step brings the two together.
//
// A rule with Members is about members of the JSON documents in columns: [Set.At] says
// what it makes of a value, or of what lies at a path in it.
//
// # What is found rather than named
//
// Kinds of values, such as "email" and "secret.*", are found by package detect in
// texts ([Set.Texts]), columns ([Set.Column]), documents ([Set.Documents]) and
// streams ([Set.Stream]). What is not found is shown: a detector knows forms, not
// meanings, and whoever can choose how a value is written can get it past one. What
// must not be seen has a rule that names it.
//
// # What a transform promises
//
// What comes out is a valid value of the column's type in the column's
// encoding, or NULL where the type has none that is safe, such as an enum.
// NULL stays NULL. Whatever a transform does not understand (a type it was not
// made for, a value that is not well formed) it replaces whole; nothing is
// shown for lack of knowing better.
//
// Masking hides values, not their comparisons: who may put a masked column
// into a condition can find values out by asking often enough. [Rule].Inference says
// what may be asked, and whoever runs statements keeps to it.
//
// # Limits
//
// A column in whose first 64 values one is found is masked whole; whoever cannot hold
// so many back for [Column.Sample] masks it whole from the first that is found. Values inside of
// bytea, of compressed or encoded text and of ranges are not looked for. There is no
// suppression of small groups. Nothing that a transform makes can be turned back, but
// for [FF1] by who has its key.
package mask
