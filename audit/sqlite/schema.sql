-- What is here is made from a journal and can be made again.
create table meta (name text primary key, value any) strict, without rowid;
-- One row for each operation, session, refused login and event of the journal
-- itself. id is the number of its first event, so that ids are in order and the
-- same in every index of the journal.
create table entry (
  id integer primary key,
  ts integer not null,            -- ns
  kind text not null,
  session text not null,
  command integer not null,
  target text not null,
  verb text not null,
  tool text not null,
  effect text not null,
  rule text not null,
  status text not null default '',
  risk integer not null,
  approved integer not null,
  event blob not null,            -- what was decided
  end_event blob                  -- how it ended, if that is another event
) strict;
create unique index entry_operation on entry (session, command, id);
create index entry_target on entry (target, id);
create index entry_ts on entry (ts);
create index entry_risk on entry (risk, id) where risk > 0;
create index entry_approved on entry (id) where approved > 0;
create index entry_refused on entry (effect, id) where effect <> 'allow';
create index entry_failed on entry (status, id) where status <> 'ok';
-- What an entry has several of. Values are in lower case.
create table tag (
  name text not null,             -- who, object, column, access, approval
  value text not null,
  entry integer not null,
  primary key (name, value, entry)
) strict, without rowid;
create virtual table words using fts5(text, content='', tokenize="unicode61 remove_diacritics 2 tokenchars '_'");
create table session (id text primary key, name text, email text) strict, without rowid;
-- Places of the journal that could not be read.
create table gap (at integer primary key, what text not null) strict;
-- How often who used what: kept with each event, so that a review need not count.
create table use_day (
  issuer text not null, subject text not null, kind text not null, target text not null, permission text not null,
  day integer not null,           -- since 1970, in UTC
  n integer not null, denied integer not null, approved integer not null, rows integer not null, masked integer not null,
  max_risk integer not null, first_ts integer not null, last_ts integer not null, last_seq integer not null,
  primary key (issuer, subject, target, permission, day, kind)
) strict, without rowid;
create index use_day_day on use_day (day);
create table use_object (
  issuer text not null, subject text not null, target text not null, object text not null, access text not null,
  n integer not null, last_ts integer not null,
  primary key (issuer, subject, target, object, access)
) strict, without rowid;
create table use_tool (
  issuer text not null, subject text not null, target text not null, tool text not null, trust text not null,
  n integer not null, first_ts integer not null, last_ts integer not null,
  primary key (issuer, subject, target, tool, trust)
) strict, without rowid;
