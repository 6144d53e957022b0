// Package mask replaces sensitive values in results: rules that name base
// columns ([Rule], [Compile]), and transforms that turn a value into another
// one of the same type, in the format in which it travels ([Transform]).
//
// Start with a [Rule] and one of [Redact], [Null], [Default], [Fixed],
// [Partial], [KeepLast], [Email] and [Hash]. Which base columns a result
// column comes from is not this package's to know: a connector says so, and
// package middleware's Mask step brings the two together.
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
// into a condition can find values out by asking often enough.
package mask
