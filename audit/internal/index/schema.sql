-- What is here is made from journals and can be made again. A source is a
-- journal; seq, first, entry and next are numbers of its events, and times are in
-- ns since 1970. Nothing is changed but by whoever holds the row of its source.
create table source (
  id integer primary key,
  origin text not null unique,
  next integer not null,          -- the first event that is not indexed
  last text not null              -- tells the event before it from all others
) strict, without rowid;
-- The events, as they are in the journal, some that follow one another in a row.
create table block (
  source integer not null, first integer not null,
  n integer not null, low integer not null, high integer not null, -- how many, and their times
  data blob not null,
  primary key (source, first)
) strict, without rowid;
-- Which entries a term has, by places in a bucket. What is new is at the end.
create table posting (
  source integer not null, bucket integer not null, term integer not null,
  docs blob not null,
  primary key (source, bucket, term)
) strict, without rowid;
-- The times of a bucket's entries.
create table bucket (
  source integer not null, id integer not null,
  low integer not null, high integer not null,
  primary key (source, id)
) strict, without rowid;
-- Later events of an entry: what was decided about what was held, and its end.
create table later (
  source integer not null, entry integer not null, seq integer not null,
  primary key (source, entry, seq)
) strict, without rowid;
-- Entries that such an event is still to come for.
create table running (
  source integer not null, session text not null, command integer not null, entry integer not null,
  primary key (source, session, command)
) strict, without rowid;
create table session (
  source integer not null, id text not null,
  names text not null, tool text not null, -- of who opened it, a JSON array; what its operations do not repeat
  primary key (source, id)
) strict, without rowid;
-- The values of terms, in lower case, for patterns.
create table value (name text not null, value text not null, primary key (name, value)) strict, without rowid;
-- Places of a journal that could not be read.
create table gap (
  source integer not null, at integer not null, what text not null,
  primary key (source, at)
) strict, without rowid;
-- How often who used what: kept with each event, so that a review need not count.
create table use_day (
  source integer not null,
  issuer text not null, subject text not null, kind text not null, target text not null, permission text not null,
  day integer not null,           -- since 1970, in UTC
  n integer not null, denied integer not null, approved integer not null, rows integer not null, masked integer not null,
  max_risk integer not null, first_ts integer not null, last_ts integer not null, last_seq integer not null,
  primary key (source, issuer, subject, kind, target, permission, day)
) strict, without rowid;
create table use_rule (
  source integer not null,
  step text not null, rule text not null,
  n integer not null, last_ts integer not null,
  primary key (source, step, rule)
) strict, without rowid;
