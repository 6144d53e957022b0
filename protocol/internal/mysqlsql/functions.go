package mysqlsql

import (
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
)

// harmless are the built-in functions that change nothing and whose result
// depends on nothing but their arguments, the server's clock, its settings and
// who asks. A stored function cannot have the name of one without its schema
// before it.
var harmless = set(`
abs acos addtime adddate aes_decrypt aes_encrypt ascii asin benchmark atan atan2 bin bin_to_uuid bit_count bit_length ceil ceiling
char char_func char_length character_length charset chr coalesce coercibility collation column_add column_check column_create column_delete
column_exists column_get column_json column_list compress concat concat_ws connection_id conv convert
convert_tz cos cot crc32 crc32c curdate current_date current_role current_time current_timestamp current_user curtime database schema
date date_add date_format date_sub datediff day dayname dayofmonth dayofweek dayofyear degrees elt exp export_set extract
extractvalue field find_in_set floor format format_bytes found_rows format_pico_time from_base64 from_days from_unixtime get_format greatest
grouping hex hour if ifnull inet6_aton inet6_ntoa inet_aton inet_ntoa insert insert_func instr interval is_ipv4 is_ipv4_compat
is_ipv4_mapped is_ipv6 is_uuid isnull json_array json_array_append json_array_insert json_compact json_contains
json_contains_path json_depth json_detailed json_equals json_exists json_extract json_insert json_keys json_length json_loose
json_memberof json_merge json_merge_patch json_merge_preserve json_normalize json_object json_overlaps json_pretty json_query
json_quote json_remove json_replace json_schema_valid json_schema_validation_report json_search json_set json_storage_free
json_storage_size json_type json_unquote json_valid json_value last_day lcase least left length lengthb ln
localtime localtimestamp locate log log10 log2 lower lpad ltrim make_set makedate maketime md5 microsecond mid minute mod month
monthname name_const natural_sort_key now nullif nvl nvl2 oct octet_length ord period_add period_diff pi position pow power quarter quote
radians rand random_bytes regexp_instr regexp_like regexp_replace regexp_substr repeat replace reverse right round row_count rpad rtrim
sec_to_time second session_user sformat sha sha1 sha2 sign sin sleep is_free_lock is_used_lock soundex space sqrt strcmp str_to_date subdate substr substring
substring_index subtime sysdate system_user tan time time_format time_to_sec timediff timestamp timestampadd timestampdiff
to_base64 to_char to_days to_seconds trim truncate ucase uncompress uncompressed_length unhex unix_timestamp updatexml upper
user utc_date utc_time utc_timestamp uuid uuid_short uuid_to_bin validate_password_strength value version week weekday weekofyear
weight_string year yearweek
add_months any_value decode des_decrypt des_encrypt encode encrypt icu_version json_array_intersect json_key_value json_object_filter_keys
json_object_to_array json_unescape kdf months_between old_password password statement_digest statement_digest_text sys_guid trunc vec_distance
vec_distance_cosine vec_distance_euclidean vec_fromtext vec_totext
asbinary astext aswkb aswkt centroid dimension endpoint envelope equals exteriorring geometryfromtext geometryn geometrytype geomfromtext geomfromwkb
glength interiorringn isclosed isempty issimple linefromtext mbrcontains mbrcoveredby mbrcovers mbrdisjoint mbrequal mbrequals mbrintersects
mbroverlaps mbrtouches mbrwithin numgeometries numinteriorrings numpoints pointfromtext pointn polyfromtext srid startpoint touches x y
st_boundary st_collect st_convexhull st_frechetdistance st_geometryfromtext st_hausdorffdistance st_isring st_latfromgeohash st_linefromtext
st_longfromgeohash st_makeenvelope st_mlinefromtext st_mpointfromtext st_mpolyfromtext st_pointfromgeohash st_pointonsurface st_polyfromtext
st_polygonfromtext st_relate st_swapxy st_validate multipoint multilinestring multipolygon geometrycollection
st_area st_asbinary st_asgeojson st_astext st_aswkb st_aswkt st_buffer st_centroid st_contains st_crosses st_difference
st_dimension st_disjoint st_distance st_distance_sphere st_endpoint st_envelope st_equals st_exteriorring st_geohash
st_geomcollfromtext st_geometryn st_geometrytype st_geomfromgeojson st_geomfromtext st_geomfromwkb st_interiorringn
st_intersection st_intersects st_isclosed st_isempty st_issimple st_isvalid st_latitude st_length st_longitude st_numgeometries
st_numinteriorrings st_numpoints st_overlaps st_pointfromtext st_pointn st_simplify st_srid st_startpoint st_symdifference
st_touches st_transform st_union st_within st_x st_y point linestring polygon
`)

// sequences are the functions of a sequence, and what they do to it.
var sequences = map[string]protocol.Access{"nextval": protocol.Write, "setval": protocol.Write, "lastval": protocol.Read}

// locking are the built-in functions about locks that have a name and guard
// nothing.
var locking = set(`get_lock release_lock release_all_locks`)

func set(words string) map[string]struct{} {
	m := map[string]struct{}{}
	for _, w := range strings.Fields(words) {
		m[w] = struct{}{}
	}
	return m
}
